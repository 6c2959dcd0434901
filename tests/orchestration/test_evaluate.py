"""`prefopt evaluate`: policies against a reference; `prefopt export --answers`: for benchmarks."""

import json

import polars as pl
import pytest

from prefopt_core.evaluation import EVALUATORS
from prefopt_core.store.runs import last_run

JUDGE = """
def score(prompt, response):
    with open(CALLS, "a") as file:
        file.write("x")
    return float(len(response))

def compare(prompt, first, second):
    with open(CALLS, "a") as file:
        file.write("y")
    return 1.0
"""


@pytest.fixture
def judge(tmp_path, write):
    """A YAML file of who judges, by length, and the file with a letter for each call."""
    calls = tmp_path / "calls"
    write("judge.py", f"CALLS = {str(calls)!r}\n{JUDGE}")
    settings = {"annotator": "function", "params": {"function": "judge.py:score"}}
    return write("judge.yaml", json.dumps(settings)), calls


def figures(path):
    rows = pl.read_csv(path).iter_rows(named=True)
    return {(row["policy"], row["metric"]): row for row in rows}


def test_what_is_no_run_and_no_file_of_responses_is_told_what_to_type(prefopt, finished, tmp_path):
    config = tmp_path / "mine.yaml"
    code, _, error = prefopt("evaluate", config)
    assert (code, "`prefopt evaluate mine` takes the newest run" in error) == (2, True)
    code, _, error = prefopt("evaluate", tmp_path)
    assert (code, "is a folder; expected a run" in error) == (2, True)


@pytest.mark.slow
def test_the_rounds_of_a_run_are_compared_by_its_own_grades(prefopt, finished, tmp_path):
    run, out = last_run(finished), tmp_path / "figures.csv"
    code, output, error = prefopt("evaluate", run.name, "--output", out)
    assert (code, error) == (0, "")
    found = figures(out)
    assert {*found} == {(f"round {n}", name) for n in (1, 2) for name in EVALUATORS}
    metrics = finished.read_all(run.metrics).filter(metric="win_rate")
    for row in metrics.iter_rows(named=True):
        assert found[f"round {row['round']}", "win_rate"]["value"] == row["value"]
    assert "win rate at equal length" in output


def test_files_are_judged_once_and_compared(prefopt, store, tmp_path, write, judge):
    mine = write("mine.csv", "prompt,response\nHow?,long enough\nWhy?,so\nWhen?,now\nWho?,you\n")
    other = write("other.csv", "instruction,output\nHow?,short\nWhy?,so\nWhen?,at once\n")
    by, calls = judge
    words = ("evaluate", mine, "--against", other, "--by", by, "--output", tmp_path / "out.csv")
    assert prefopt(*words)[0] == 0
    rate = figures(tmp_path / "out.csv")["mine", "win_rate"]
    assert (rate["value"], rate["n"], rate["reference"]) == (0.5, 3, "other")
    assert len(calls.read_text()) == 5  # the text that both have is one
    assert prefopt(*words)[0] == 0
    assert len(calls.read_text()) == 5


def test_a_run_is_compared_with_a_reference_in_both_orders(
    prefopt, finished, tmp_path, write, judge
):
    run = last_run(finished)
    prompts = [f"How do I mend number {at}?" for at in range(24)]
    rows = [json.dumps({"instruction": prompt, "output": "Glue."}) for prompt in prompts]
    reference, out = write("reference.jsonl", "\n".join(rows)), tmp_path / "figures.csv"
    params = {"function": "judge.py:compare", "ask": "compare", "orders": "both"}
    first_wins = write("first.yaml", json.dumps({"annotator": "function", "params": params}))
    words = ("evaluate", run.name, "--against", reference, "--by", first_wins, "--output", out)
    code, _, error = prefopt(*words)
    assert (code, error) == (0, "")
    rate = figures(out)[run.name, "win_rate"]
    assert (rate["value"], rate["standard_error"], rate["n"]) == (0.5, 0.0, 6)
    assert judge[1].read_text() == "y" * 12


def test_what_a_judge_is_paid_is_limited_and_nothing_is_paid_twice(prefopt, store, write, loopback):
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    answer = ['{"better": "A"}']
    loopback.behave = lambda request, time: (200, loopback.answer(request, texts=answer))
    params = {"base_url": loopback.url, "model_name": "j", "price_prompt": 100.0}
    by = write("judge.yaml", json.dumps({"annotator": "llm-judge", "params": params}))
    mine = write("mine.csv", "prompt,response\nHow?,one\nWhy?,two\nWhen?,three\n")
    other = write("other.csv", "prompt,response\nHow?,1\nWhy?,2\nWhen?,3\n")
    words = ("evaluate", mine, "--against", other, "--by", by)
    code, _, error = prefopt(*words, "--max-cost", "0.072")
    assert code == 2
    assert 0 < len(loopback.asked) < 6
    assert "Raise `--max-cost`" in error
    assert prefopt(*words, "--max-cost", "1")[0] == 0
    assert prefopt("evaluate", other, "--against", mine, "--by", by)[0] == 0
    assert len(loopback.asked) == 6  # three pairs, in both orders
    assert "--max-cost is nan" in prefopt(*words, "--max-cost", "nan")[2]


def test_what_cannot_be_compared_is_said(prefopt, finished, tmp_path, write, judge):
    mine = write("mine.csv", "prompt,response\nHow?,so\n")
    other = write("other.csv", "prompt,response\nWhy?,so\n")
    assert "--against a run" in prefopt("evaluate", mine)[2]
    assert "Name who judges" in prefopt("evaluate", mine, "--against", other)[2]
    said = prefopt("evaluate", mine, "--against", other, "--by", judge[0])[2]
    assert "no prompt in common" in said


def test_what_the_kept_policy_answered_becomes_a_file_for_a_benchmark(
    prefopt, finished, tmp_path, write
):
    run = last_run(finished)
    assert prefopt("export", tmp_path / "out", "--answers", "alpaca_eval")[0] == 0
    rows = json.loads((tmp_path / "out" / "model_outputs.json").read_text())
    assert len(rows) == 6
    assert {row["generator"] for row in rows} == {run.name}
    asked = write("question.jsonl", '{"uid": "q7", "category": "x", "prompt": "What is glue?"}')
    words = ("export", tmp_path / "arena", "--answers", "arena-hard", "--questions", asked)
    assert prefopt(*words)[0] == 0
    assert [path.name for path in (tmp_path / "arena").iterdir()] == ["model_answer"]
    (answer,) = (tmp_path / "arena" / "model_answer" / f"{run.name}.jsonl").open()
    assert json.loads(answer)["uid"] == "q7"
    assert prefopt("export", tmp_path / "x", "--questions", asked)[0] == 2
