"""The three flows, whole, on a model with random weights; as functions and in Prefect."""

import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import polars as pl
import pytest

from flows.steps import weighed
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.origins import origins
from prefopt_core.store.lineage import Lineage
from prefopt_core.store.store import Store
from tasks.progress import ProgressArtifact
from tasks.session import listing

DATE = re.compile(r"<dd>\d{4}-\d\d-\d\d</dd>")


@pytest.fixture
def figures():
    """(round, metric) → value, of a result."""

    def figures(store, result):
        rows = pl.concat([store.read(table) for table in result.metrics]).iter_rows(named=True)
        return {(row["round"], row["metric"]): row["value"] for row in rows}

    return figures


@pytest.fixture(scope="module")
def _aligned(first_run, tmp_path_factory):
    root = shutil.copytree(first_run.store.root, tmp_path_factory.mktemp("aligned") / "store")
    report = root / first_run.result.report.relative_to(first_run.store.root)
    result = replace(first_run.result, report=report)
    return SimpleNamespace(**vars(first_run) | {"store": Store(root), "result": result})


@pytest.fixture
def aligned(_aligned, monkeypatch):
    """A finished run of `align`, with its store in use; later runs only add to it."""
    monkeypatch.setenv("PREFOPT_STORE", str(_aligned.store.root))
    return _aligned


@pytest.fixture
def aepo(settings):
    """Settings of AEPO on a model, with training and evaluation."""
    return {name: s for name, s in settings.items() if name != "rounds"} | {"flow": "aepo"}


@pytest.fixture
def spa(settings, write):
    """Settings of SPA, with a labelled seed of six pairs."""
    seed = [
        {"prompt": f"How do I open number {i}?", "chosen": "Turn it.", "rejected": "Kick it!"}
        for i in range(6)
    ]
    left_out = ("annotation", "budget", "embedding")
    rounds = [{"prompts": 5}, {"prompts": 6}]
    own = {"flow": "spa", "rounds": rounds, "replay": True}
    own["seed_preferences"] = {"path": str(write("seed.jsonl", seed))}
    return {name: s for name, s in settings.items() if name not in left_out} | own


def test_align_goes_from_the_start_policy_through_every_round(aligned, figures):
    found = figures(aligned.store, aligned.result)
    assert {round_number for round_number, _ in found} == {0, 1, 2}
    assert found[1, "self_pairs"] == 0  # π_init has no opinion yet
    assert found[2, "self_pairs"] > 0
    assert found[2, "gold_pairs"] <= found[2, "labels"] / 2  # k = 2; ties make no pair
    assert (aligned.store.open_folder(aligned.result.policy) / "model.safetensors").is_file()
    assert "<svg" in aligned.result.report.read_text()


def test_labels_in_the_metrics_are_those_that_were_asked_for(aligned, figures, settings):
    found = figures(aligned.store, aligned.result)
    bought = [found[number, "labels"] for number in (1, 2)]
    assert bought == [8, 4]  # whole prompts of 2 labels each, out of 9 and 4
    assert sum(bought) <= settings["budget"]
    asked = aligned.calls.read_text().splitlines()
    assert len(asked) == len(set(asked)) == sum(bought)
    assert sum(count for *_, count in LabelStore(aligned.store.root).counts()) == sum(bought)


def test_a_second_run_computes_nothing(aligned, listened, settings, contents):
    before = contents(aligned.store)
    result, heard = listened(settings)
    assert sorted(stage for stage, _ in heard.outcomes) == sorted(
        stage for stage, _ in aligned.listener.outcomes
    )
    assert contents(aligned.store) == before
    assert result == aligned.result


@pytest.mark.slow
def test_a_config_gives_the_same_bytes_in_every_store(
    aligned, listened, settings, other_store, contents
):
    before = contents(aligned.store)
    other = other_store()
    result, heard = listened(settings)
    assert sorted(heard.outcomes) == sorted(aligned.listener.outcomes)  # nothing from elsewhere
    assert contents(other) == before
    assert any(name.endswith("model.safetensors") for name in before)
    pages = [DATE.sub("", each.report.read_text()) for each in (result, aligned.result)]
    assert pages[0] == pages[1]  # but for the day, if that has changed since


@pytest.mark.slow
def test_another_seed_gives_another_policy_and_other_pairs(aligned, run, settings, other_store):
    other_store()
    result = run(settings | {"seed": 1})
    assert result.policy != aligned.result.policy
    assert result.preferences != aligned.result.preferences


@pytest.mark.slow
def test_a_changed_setting_leaves_what_comes_before_it_alone(
    aligned, listened, settings, monkeypatch, tmp_path
):
    copied = shutil.copytree(aligned.store.root, tmp_path / "store")  # for tests in any order
    monkeypatch.setenv("PREFOPT_STORE", str(copied))
    settings["rounds"][1]["labels"] = 2
    _, heard = listened(settings)
    computed = [stage for stage, cached in heard.outcomes if not cached]
    assert computed[:2] == ["annotate", "pair"]
    assert computed.count("train") == 1


@pytest.mark.slow
def test_responses_may_be_compared_in_the_space_of_the_policy_that_wrote_them(run, settings, store):
    settings["embedding"] = {"embedder": "policy"}
    result = run(settings | {"seed": 2, "evaluation": None})
    spaces = [m.inputs["policy"]["model"] for m in store.manifests("embed_by_policy")]
    writers = [m.inputs["policy"]["model"] for m in store.manifests("generate")]
    assert set(spaces) == set(writers)
    assert len(set(spaces)) == 2  # one a round
    assert result.preferences.rows > 0


@pytest.mark.slow
def test_with_momentum_a_round_starts_beyond_what_the_one_before_had_trained(
    aligned, listened, settings, monkeypatch, tmp_path
):
    copied = shutil.copytree(aligned.store.root, tmp_path / "store")
    monkeypatch.setenv("PREFOPT_STORE", str(copied))
    settings["training"]["momentum"] = 0.5
    result, heard = listened(settings)
    computed = [stage for stage, cached in heard.outcomes if not cached]
    assert (computed.count("train"), computed.count("accelerate")) == (1, 2)
    steps = {m.output: m.inputs for m in Store(copied).manifests("accelerate")}
    training = {m.output.digest: m.inputs for m in Store(copied).manifests("train")}
    second = steps[result.policy]
    first = training[second["trained"]["model"]]["policy"]["model"]
    (before,) = [own for output, own in steps.items() if output.digest == first]
    assert second["before"] == before["trained"]  # what was trained, not what lay beyond it


@pytest.mark.slow
def test_aepo_trains_on_paid_labels_only(run, aepo, store, figures):
    result = run(aepo)
    found = figures(store, result)
    assert found[1, "labels"] == 12  # 13 can pay for six prompts
    assert (found[1, "gold_pairs"], found[1, "self_pairs"]) == (6, 0)
    assert found[1, "win_rate"] is not None
    assert set(store.read(result.preferences)["source"]) == {"gold"}


def test_aepo_needs_no_model_for_a_data_set_of_given_candidates(run, given_candidates, store):
    result = run(given_candidates)
    assert result.policy is None
    assert result.preferences.rows == 4
    assert result.report.is_file()


@pytest.mark.slow
def test_prompts_added_to_a_file_change_nothing_for_the_others(run, aepo, store, write):
    # The budget pays for all; with less, which prompts are labelled depends on all of them.
    aepo = {name: s for name, s in aepo.items() if name not in ("training", "evaluation")}
    lines = [f"How do I mend thing {i}?\n" for i in range(11)]

    def on(file, lines):
        path = str(write(file, "prompt\n" + "".join(lines)))
        source = {"source": "file", "shard_size": 4, "params": {"path": path}}
        return aepo | {"prompts": source, "budget": 100}

    def pairs(settings):
        rows = store.read(run(settings).preferences).iter_rows(named=True)
        return {row["prompt_id"]: row for row in rows}

    few = pairs(on("few.csv", lines[:8]))
    many = pairs(on("many.csv", lines))
    backwards = pairs(on("backwards.csv", lines[::-1]))
    assert len(few) > 4
    assert len(many) > len(few)
    assert {prompt: many[prompt] for prompt in few} == few
    assert backwards == many


@pytest.mark.slow
def test_finished_shards_are_not_computed_again_for_a_longer_file(run, aepo, store, write):
    aepo = {name: s for name, s in aepo.items() if name not in ("training", "evaluation")}
    lines = [f"How do I mend thing {i}?\n" for i in range(11)]
    for count in (8, 11):
        path = str(write(f"{count}.csv", "prompt\n" + "".join(lines[:count])))
        run(aepo | {"prompts": {"source": "file", "shard_size": 4, "params": {"path": path}}})
    assert len(list(store.manifests("generate"))) == 3  # not 2 + 3


@pytest.mark.slow
def test_spa_buys_nothing_and_learns_from_its_seed_and_itself(run, spa, store, figures, contents):
    result = run(spa)
    found = figures(store, result)
    assert {found[number, "labels"] for number in range(4)} == {0}
    assert found[1, "gold_pairs"] == 6  # the seed
    assert found[2, "self_pairs"] > 0
    assert not LabelStore(store.root).path.exists()
    before = contents(store)
    assert run(spa).policy == result.policy
    assert contents(store) == before


@pytest.mark.slow
def test_spa_may_weigh_its_judges_penalise_length_and_replay_a_share(run, spa, store, figures):
    spa |= {"replay": 0.25, "pairing": {"length_penalty": "auto"}}
    spa["training"] |= {"loss": "cream"}
    result = run(spa)
    found = figures(store, result)
    penalties = [found[number, "length_penalty"] for number in (2, 3)]
    assert all(penalty >= 0 for penalty in penalties)
    # In round 2 the judge is the first; the one before is the start policy, which cannot judge.
    assert [(number, "consistency") in found for number in (1, 2, 3)] == [False, False, True]
    assert 0 <= found[3, "consistency"] <= 1
    own = [found[number, "self_pairs"] for number in (2, 3)]
    replayed = list(store.manifests("draw_replay"))
    assert sorted(m.output.rows for m in replayed) == sorted(pairs // 3 for pairs in own)
    assert store.read(result.preferences)["consistency"].null_count() == 0
    again = sorted(replayed, key=lambda m: m.output.rows)[-1].output
    made = origins(Lineage(store), [result.preferences, again])
    assert [each.pairs.manifest.stage for each in made] == ["pair", "load_preferences"]
    assert made[0].judgments


@pytest.mark.slow
def test_spa_may_be_judged_by_all_its_policies_calibrated_by_pairs_held_out(
    run, spa, store, figures
):
    plain = run(spa)
    judged = {"judge": {"policies": "all"}}
    result = run(spa | judged)
    means = list(store.manifests("mean_logps"))
    assert [len(m.inputs["logps"]) for m in means] == [2]  # in the first round it is SPA's judge
    first, second = (store.read(each.preferences) for each in (plain, result))
    assert first.select("prompt_id", "round").equals(second.select("prompt_id", "round"))

    judged["judge"]["calibrated"] = True
    spa["training"] |= {"loss": "cream"}
    result = run(spa | judged)
    found = figures(store, result)
    assert found[1, "gold_pairs"] == 4  # two of the seed's six are held out
    held = next(m for m in store.manifests("hold_out") if m.inputs["part"] == "held out")
    assert held.output.rows == 2
    fits = sorted(store.manifests("calibrate"), key=lambda m: len(m.inputs["held_out"]))
    # those of both rounds, and for `cream` that of the first on the responses of the second, too
    assert [len(m.inputs["held_out"]) for m in fits] == [1, 1, 2]
    kept = set(store.read(held.output)["prompt_id"])
    trained = [
        store.read(Lineage(store).made(each).table)
        for m in store.manifests("train")
        if m.output == result.policy
        for each in m.inputs["preferences"]
    ]
    assert not kept & set(pl.concat(trained, how="diagonal")["prompt_id"])
    made = origins(Lineage(store), [result.preferences])
    assert [each.pairs.manifest.stage for each in made] == ["pair"]
    assert made[0].judgments.manifest.stage == "calibrate"


def test_a_judge_that_needs_no_reference_counts_in_full_while_no_policy_came_before(spa, tools):
    spa["training"] |= {"loss": "cream"}
    _, config = tools.parsed(spa | {"judge": {"reference": "none"}})
    pairs, judgments = object(), object()
    assert config.judge.can_judge(0)
    assert weighed(pairs, judgments, None, ["start"], [], config) is pairs


@pytest.mark.slow
def test_spa_without_labels_learns_what_a_stronger_writer_wrote(run, spa, store, figures, write):
    rows = [f"How do I mend number {i}?,Glue part {i}.,Buy one {i}" for i in range(24)]
    path = str(write("by.csv", "\n".join(["prompt,strong,weak", *rows])))
    del spa["seed_preferences"]
    generation = {"generator": "file", "params": {"path": path, "responses": ["strong", "weak"]}}
    spa |= {
        "generation": generation,
        "judge": {"annotator": "by-writer", "params": {"writers": ["strong", "weak"]}},
        "rounds": [{"prompts": 5}],
        "replay": False,
    }
    spa["training"] |= {"loss": "dpo_norm", "beta": 5.0}
    spa["evaluation"]["generation"]["generator"] = "transformers"
    result = run(spa)
    pairs = store.read(result.preferences)
    assert pairs.height == 5
    assert pairs["chosen"].list.first().struct.field("content").str.contains("Glue").all()
    assert set(pairs["confidence"]) == {1.0}
    found = figures(store, result)
    assert (found[1, "self_pairs"], found[1, "labels"]) == (5, 0)
    assert not (store.root / "labels.sqlite").exists()


@pytest.mark.slow
def test_in_prefect_stages_are_tasks_and_rounds_leave_reports(settings, store, prefect, tools):
    flow, config = tools.parsed(settings | {"name": "mine"})
    first, second = (
        tools.parts_of(flow(config, return_state=True).state_details.flow_run_id) for _ in range(2)
    )
    states = _task_states(first)
    assert {state.name for _, state in states} == {"Completed"}
    assert "load_policy" in dict(states)
    assert {"train, round 1", "train, round 2", "generate, round 1"} <= dict(states).keys()
    assert {"grade, measure, start", "evaluate, measure, round 2"} <= dict(states).keys()
    for parts in (first, second):
        reports = _markdown(parts)
        labels = [reports.pop(f"mine-labels-{number}") for number in (1, 2)]
        assert all("How far the labels can be trusted" in text for text in labels)
        assert str(store.root / "runs" / "mine" / "report.html") in reports.pop("mine-result")
        assert sorted(reports) == ["mine-round-1", "mine-round-2", "mine-start-policy"]
        for text in reports.values():
            assert "| round |" in text
            assert "data:image/svg+xml;base64," in text
            assert len(text) <= 100_000
    again = _task_states(second)
    assert sorted(stage for stage, _ in again) == sorted(stage for stage, _ in states)
    assert {state.name for _, state in again} == {"Cached"}
    assert all(re.match(r"hit · .+ · [0-9a-f]{12}", state.message) for _, state in again)
    assert "first run" in dict(states)["load_policy"].message


@pytest.mark.slow
def test_in_prefect_a_round_is_a_part_that_starts_from_the_round_before(
    settings, store, prefect, tools
):
    from prefect.client.orchestration import get_client

    flow, config = tools.parsed(settings | {"name": "mine"})
    run_id = flow(config, return_state=True).state_details.flow_run_id
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
        graph = client.request("GET", f"/flow_runs/{run_id}/graph-v2").json()
    assert (run.name, run.tags) == ("mine", ["mine"])
    nodes = dict(graph["nodes"])
    names = {key: node["label"].rpartition(" / ")[2] for key, node in nodes.items()}
    arrows = {
        (names[parent["id"]], names[key])
        for key, node in nodes.items()
        for parent in node["parents"]
    }
    assert len(nodes) == 8
    assert arrows == {
        ("load_prompts", "draw_prompts"),
        ("load_policy", "measure, start"),
        ("load_policy", "round 1"),
        ("round 1", "measure, round 1"),
        ("round 1", "round 2"),
        ("round 2", "measure, round 2"),
    }


def _task_states(parts):
    """(name, state) of every stage, in the order of their starts; parts are no stages."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.read_task_runs(flow_run_filter=parts)
    stages = (t for t in found if t.state.state_details.child_flow_run_id is None)
    return [(t.name, t.state) for t in sorted(stages, key=lambda t: t.start_time)]


def _markdown(parts):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(flow_run_filter=parts)
    return {a.key: a.data for a in artifacts if a.type == "markdown"}


@pytest.mark.slow
def test_progress_that_cannot_be_shown_costs_nothing(monkeypatch):
    asked = []

    def gone(**shown):
        asked.append(shown["progress"])
        raise ConnectionError("Prefect's server is gone")

    monkeypatch.setattr("prefect.artifacts.create_progress_artifact", gone)
    show = ProgressArtifact("generate", started=-100.0)
    show(1, 2)
    assert asked == [50]


def test_a_round_is_explained_by_the_same_round_of_an_earlier_run(aligned, run, settings):
    told = [reason for stage, reason in aligned.listener.reasons if stage == "generate"]
    assert told == ["first run"] * 5  # the start, and two rounds with what measures each
    settings["generation"]["params"]["temperature"] = 0.8
    with listing() as stages:
        run(settings)
    told = [planned.reason for planned in stages if planned.stage == "generate"]
    assert told[0] == "2 of 2 shards: params.temperature 0.9 → 0.8"
