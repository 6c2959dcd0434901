"""Responses from a server, through whole runs; vLLM's own is in tests/engine/test_server.py."""

import json
import re
import threading

import polars as pl
import pytest

from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.labels.account import balance_of
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.runs import last_run

pytest.importorskip("openai", reason="the extra `openai` is not installed")


@pytest.fixture
def served(loopback):
    """The generation section of a config, for the server of the tests."""

    def served(**params):
        words = ["Load the tray", "Open the settings", "Choose account", "Close it", "Press it"]

        def behave(request, time):
            texts = [f"{word}." for word in words[: request.get("n", 1)]]
            reason = "length" if request["seed"] % 2 else "stop"
            return 200, loopback.answer(request, texts, reason)

        loopback.behave = behave
        params = {"base_url": loopback.url, "model_name": "m", "max_new_tokens": 8} | params
        return {"generator": "openai", "n": 4, "params": params}

    return served


@pytest.mark.slow
def test_preference_data_set_from_a_server_without_a_model(
    prefopt, served, loopback, given_candidates, prompts_file, config_file, store
):
    prices = {"price_prompt": 1000.0, "price_completion": 1000.0}
    config = config_file(
        given_candidates
        | {
            "generation": served(**prices),
            "prompts": {"params": {"path": str(prompts_file)}, "shard_size": 12},
            "budget": 48,
        }
    )
    code, output, _ = prefopt("run", config, "--no-server")
    assert code == 0
    bought = "96 responses bought: 240 prompt and 480 completion tokens, 0.72"
    assert f"· {bought}" in " ".join(output.split())
    _, output, _ = prefopt("cache", "ls")
    assert "96 responses of m: 240 prompt and 480 completion tokens, 0.72 paid" in output
    asked = len(loopback.asked)
    moved = ["generation.params.base_url=http://elsewhere/v1", "generation.params.concurrency=2"]
    _, output, _ = prefopt("plan", config, *moved)
    assert "0 of" in output
    # forgotten results are made again from what was bought
    prefopt("cache", "rm", "generate")
    prefopt("cache", "gc")
    code, output, _ = prefopt("run", config, "--no-server")
    assert (code, "bought" in output) == (0, False)
    assert len(loopback.asked) == asked == 24


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_a_round_of_align_on_responses_of_a_server(run, served, settings, store, endpoint):
    settings |= {
        "generation": served(endpoint=endpoint),
        "rounds": [{"prompts": 6, "labels": 12}],
        "budget": 12,
    }
    result = run(settings)
    pairs = store.read(result.preferences)
    assert pairs.height == 6
    assert set(pairs["chosen_finished"]) == {True, False}
    assert {"unfinished", "win_rate"} <= set(store.read(result.metrics[-1])["metric"])


@pytest.mark.slow
def test_in_prefect_the_task_says_what_was_paid(served, settings, store, prefect, tools):
    from prefect.client.orchestration import get_client

    settings |= {"flow": "aepo", "generation": served(), "budget": 12}
    del settings["rounds"], settings["training"], settings["evaluation"], settings["policy"]
    flow, config = tools.parsed(settings)
    flow(config)
    with get_client(sync_client=True) as client:
        messages = [str(run.state.message) for run in client.read_task_runs(limit=200)]
    assert any("96 responses bought: 240 prompt and 480 completion" in text for text in messages)


# --- a judge ----------------------------------------------------------------------------------


@pytest.fixture
def judged(loopback, given_candidates):
    """Settings of a run without a model, whose pairs an LLM judge compares: "Answer 2" is best."""

    def behave(request, time):
        shown = [
            line for line in request["messages"][-1]["content"].splitlines() if "Answer" in line
        ]
        mark = "A" if shown[0] > shown[1] else "B"
        return 200, loopback.answer(request, texts=[f'{{"better": "{mark}"}}'])

    loopback.behave = behave
    params = {"base_url": loopback.url, "model_name": "j", "price_prompt": 100.0, "concurrency": 1}
    return given_candidates | {
        "annotation": {"annotator": "llm-judge", "params": params},
        "budget": 4,
    }


@pytest.mark.slow
def test_a_run_buys_the_comparisons_of_a_judge(prefopt, judged, loopback, config_file, store):
    code, output, _ = prefopt("run", config_file(judged), "--no-server")
    assert code == 0
    assert "8 responses bought: 80 prompt and 40 completion tokens, 0.008" in " ".join(
        output.split()
    )
    (manifest,) = store.manifests("annotate")
    verdicts = store.read(manifest.output)
    assert verdicts.height == 8
    assert (
        verdicts.group_by("prompt_id").agg(pl.col("preference").sum())["preference"].to_list()
        == [1.0] * 4
    )
    (pairs,) = store.manifests("pair")
    assert pairs.output.rows == 4
    assert all(
        chosen[-1]["content"] > rejected[-1]["content"]
        for chosen, rejected in store.read(pairs.output).select("chosen", "rejected").iter_rows()
    )
    moved = "annotation.params.base_url=http://elsewhere/v1"
    _, output, _ = prefopt("plan", config_file(judged), moved)
    assert "0 of" in output


def test_a_plan_prices_a_judge_before_its_first_label(
    prefopt, judged, served, prompts_file, config_file, loopback, store
):
    def plan(settings, *changes):
        code, output, _ = prefopt("plan", config_file(settings), *changes)
        assert (code, loopback.asked) == (0, [])
        return " ".join(output.split())

    output = plan(judged)
    assert "4 labels by llm-judge j: 8 requests, again where one has no verdict; ≈ " in output
    assert "tokens read (by the responses in pool.csv, 4 bytes each), ≤ 4,096 written" in output
    prompts = {"prompts": {"params": {"path": str(prompts_file)}}}
    output = plan(judged | {"generation": served()} | prompts)
    assert "(by its prompts and responses of 8 tokens, 4 bytes each)" in output


@pytest.mark.slow
def test_where_max_cost_ends_a_run_goes_on_with_the_labels_it_has_and_says_so(
    prefopt, judged, loopback, config_file, store
):
    config = config_file(judged)
    code, output, _ = prefopt("run", config, "max_cost=0.075", "--no-server")
    labels = len(loopback.asked) // 2
    assert (code, labels in (1, 2, 3)) == (0, True)
    count = "1 label" if labels == 1 else f"{labels} labels"
    said = f"the round goes on with {count} of at most 4, and the others were not asked"
    assert f"(`budget: 4`, `max_cost: 0.075`): {said}" in " ".join(output.split())
    (report,) = store.root.rglob("report.html")
    assert said in report.read_text()
    _, output, _ = prefopt("plan", config, "max_cost=0.075")
    assert "0 of" in output
    _, output, _ = prefopt("plan", config, "max_cost=1")
    assert f"(by the {labels} so far)" in output
    assert "allowance.max_cost 0.075 → 1" in " ".join(output.split())
    code, output, _ = prefopt("run", config, "max_cost=1", "--no-server")
    assert (code, len(loopback.asked), "used up" in output) == (0, 8, False)


@pytest.mark.slow
def test_a_run_killed_amid_its_judge_buys_nothing_twice(
    start, judged, loopback, config_file, prefopt, store
):
    behave, reached = loopback.behave, threading.Event()

    def hang(request, time):
        if len(loopback.asked) > 5:
            reached.set()
            return loopback.stall()
        return behave(request, time)

    loopback.behave = hang
    code = "import sys; from flows.cli import main; sys.exit(main())"
    process = start(code, "run", config_file(judged), "--no-server", PREFOPT_STORE=str(store.root))
    assert reached.wait(120)
    process.kill()
    process.wait()
    loopback.behave = behave
    asked = len(loopback.asked)
    assert prefopt("run", config_file(judged), "--no-server")[0] == 0
    assert len(loopback.asked) == asked + 3  # of eight: five were answered


@pytest.mark.slow
def test_a_judge_on_a_server_labels_judges_and_grades(run, settings, loopback, better_first, store):
    asked = {"base_url": loopback.url, "model_name": "j", "price_prompt": 100.0}
    grades = {"annotator": "llm-judge", "params": asked | {"ask": "score", "template": "rubric"}}
    judged = {"annotator": "llm-judge", "params": asked}
    settings |= {
        "annotation": judged | {"account": "study"},
        "judge": judged,
        "evaluation": settings["evaluation"] | grades,
        "rounds": [{"prompts": 3, "labels": 3}, {"prompts": 6, "labels": 1}],
        "budget": 4,
        "max_cost": 1.0,
    }
    result = run(settings)
    metrics = store.read(result.metrics[-1])
    assert "win_rate" in set(metrics["metric"])
    judged = pl.concat(store.read(made.output) for made in store.manifests("judge"))
    assert set(judged["state"]) <= {"given", "tie"}
    assert judged["annotator"].unique().to_list() == ["llm-judge"]
    count = len(loopback.asked)
    with LabelStore.of(store).connected() as connection:
        balance = balance_of(connection, "study")
    assert (balance.labels, balance.held_cost) == (4, 0.0)
    assert balance.cost == pytest.approx(count * 10 * 100 / 1e6)  # of labels, judge and grader
    assert run(settings).metrics == result.metrics
    assert len(loopback.asked) == count
    settings |= {"max_cost": balance.cost, "seed": 1, "budget": 8}
    with pytest.raises(OverBudgetError, match="Raise `max_cost`"):
        run(settings)


@pytest.mark.slow
def test_where_max_cost_ends_rounds_are_not_measured_and_the_run_goes_on(
    prefopt, settings, loopback, better_first, config_file, store, tmp_path
):
    params = {"ask": "score", "template": "rubric", "price_prompt": 100.0}
    params |= {"base_url": loopback.url, "model_name": "j"}
    settings["evaluation"] |= {"annotator": "llm-judge", "params": params, "keep": "best"}
    settings["annotation"]["price"] = 0.001
    settings |= {"rounds": [{"prompts": 3, "labels": 6}], "budget": 6}
    config = config_file(settings)
    _, output, _ = prefopt("plan", config, "max_cost=0.0061")
    assert "grade: 12 questions to llm-judge j: 12 requests" in output
    assert "labels may take 0.006, judge and evaluation " in " ".join(output.split())
    code, output, _ = prefopt("run", config, "max_cost=0.0061", "--no-server")
    assert (code, loopback.asked) == (0, [])
    assert "After 6 labels nobody has measured whether the policy became better." in output
    for who in ("The start policy", "Round 1"):
        assert output.count(f"! {who} is not measured: ") == 2  # when it was, and at the end
    assert prefopt("export", tmp_path / "pairs")[0] == 0
    assert "measured too few policies" in prefopt("evaluate", last_run(store).name)[2]
    code, output, _ = prefopt("run", config, "max_cost=5", "--no-server")
    assert (code, "not measured" in output, len(loopback.asked)) == (0, False, 12)
    assert ("● train" in output, "win rate" in output) == (True, True)


@pytest.fixture
def better_first(loopback):
    """A judge that likes short responses, and answers both templates."""

    def behave(request, time):
        text = request["messages"][-1]["content"]
        shown = re.findall(r"^=+ response.*\n((?s:.*?))\n=+ end$", text, re.MULTILINE)
        first, last = len(shown[0]), len(shown[-1])
        mark = "A" if first < last else "B" if last < first else "tie"
        said = {"better": mark} if len(shown) == 2 else {"score": max(1, 10 - first // 9)}
        texts = [json.dumps(said)]
        return 200, loopback.answer(request, texts=texts)

    loopback.behave = behave
