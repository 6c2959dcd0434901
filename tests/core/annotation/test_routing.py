"""Routing: labels go to the prompts of whose responses a judge is least sure."""

import polars as pl
import pytest

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.table import buy_labels, labels_to_buy
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.budget import within_budget
from prefopt_core.labels.evidence import sureness
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import LabelStore
from tests.verdicts import scores_table, verdicts_table

SURE = {"p0": 0.9, "p1": 0.1, "p2": 0.5, "p3": 0.2}
"""Prompt → how far apart the judge's scores of its two responses are."""


@pytest.fixture
def selections():
    rows = [(prompt, f"{prompt} r{rank}", rank) for prompt in SURE for rank in range(2)]
    return pl.DataFrame(rows, ["prompt_id", "candidate_id", "rank"], orient="row")


@pytest.fixture
def judgments():
    return scores_table({p: {f"{p} r0": gap, f"{p} r1": 0.0} for p, gap in SURE.items()})


def prompts_of(selections):
    return selections["prompt_id"].unique(maintain_order=True).to_list()


@pytest.mark.parametrize("seed", range(5))
def test_the_least_sure_come_first_whatever_is_drawn(selections, judgments, seed):
    first = sureness(judgments)
    found = prompts_of(within_budget(selections, 8, seed=seed, first=first))
    assert found == sorted(SURE, key=SURE.get)
    assert prompts_of(within_budget(selections, 4, seed=seed, first=first)) == ["p1", "p3"]


def test_what_the_judge_says_nothing_about_comes_before_what_it_can_tell_apart(
    selections, judgments
):
    known = judgments.filter(pl.col("prompt_id") != "p0")
    assert prompts_of(within_budget(selections, 2, seed=0, first=sureness(known))) == ["p0"]


def test_equally_sure_prompts_are_in_the_order_drawn(selections):
    flat = dict.fromkeys(SURE, 0.5)
    drawn = within_budget(selections, 8, seed=3)
    assert within_budget(selections, 8, seed=3, first=flat).equals(drawn)


def test_a_judge_that_compares_is_least_sure_near_a_half():
    table = verdicts_table(
        ("near", ("a", "b"), Verdict.preferred(0.55)),
        ("far", ("a", "b"), Verdict.preferred(0.05)),
        ("tie", ("a", "b"), Verdict("tie")),
    )
    assert sureness(table) == pytest.approx({"near": 0.1, "far": 0.9, "tie": 0.0})


def test_those_labels_are_bought_and_planned(selections, judgments, write, tmp_path):
    path = write("judge.py", "def score(prompt, response):\n    return float(len(response))\n")
    config = AnnotationConfig(annotator="function", params={"function": f"{path}:score"})
    candidates = selections.with_columns(response=pl.col("candidate_id"))
    prompts = pl.DataFrame(
        {"prompt_id": list(SURE), "prompt": [[{"role": "user", "content": p}] for p in SURE]}
    )
    asked, kept = Asked(selections, candidates, prompts), LabelStore(tmp_path / "store")
    bought = buy_labels(asked, config, 4, kept, seed=0, judgments=judgments)
    assert set(bought["prompt_id"]) == {"p1", "p3"}
    assert labels_to_buy(selections, config, 4, kept, seed=0, judgments=judgments) == 0
