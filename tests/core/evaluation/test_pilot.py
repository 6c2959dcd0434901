"""A pilot's folds, and its figures against cases counted by hand."""

import numpy as np
import polars as pl
import pytest

from prefopt_core.evaluation.pilot import agreement, leave_out, responses_of
from prefopt_core.ground.errors import ConfigError
from prefopt_core.labels.estimates import share
from prefopt_core.labels.questions import Verdict
from tests.verdicts import scores_table, verdicts_table


def said(text):
    return [{"role": "assistant", "content": text}]


def labelled(*prompts, chosen="one two three", rejected="one"):
    """A pair for each prompt: its response c is better than its response r."""
    return pl.DataFrame(
        [
            {
                "prompt_id": prompt, "chosen_id": f"{prompt}c", "rejected_id": f"{prompt}r",
                "chosen": said(chosen), "rejected": said(rejected),
            }
            for prompt in prompts
        ]
    )  # fmt: skip


def judged(**gains):
    """A judge's scores: prompt → by how much it prefers c to r; None: it says nothing."""
    return scores_table(
        {prompt: {f"{prompt}c": gain, f"{prompt}r": 0.0} for prompt, gain in gains.items()}
    )


def figures(pairs, *judgments):
    return {row["metric"]: row for row in agreement(pairs, judgments).to_dicts()}


def test_each_prompt_is_held_out_once_and_never_learned_from_there():
    pairs = pl.concat([labelled(*"abcdefg"), labelled("a").with_columns(rejected_id=pl.lit("a2"))])
    ids = [*pairs["chosen_id"], *pairs["rejected_id"]]
    candidates = pl.DataFrame({"candidate_id": [*ids, "other"], "prompt_id": "…"}).lazy()
    held = []
    for fold in range(3):
        learned = leave_out(pairs, fold, 3, seed=0)
        asked = responses_of(pairs, candidates, fold, 3, seed=0)["candidate_id"].to_list()
        assert not {*learned["chosen_id"], *learned["rejected_id"]} & {*asked}
        assert len({*pairs["prompt_id"]} - {*learned["prompt_id"]}) in (2, 3)
        held += asked
    assert sorted(held) == sorted({*ids})


def test_more_folds_than_prompts_are_refused():
    with pytest.raises(ConfigError, match=r"2 prompts, too few for 3 folds.*--labels.*--folds"):
        leave_out(labelled("a", "b"), 0, 3, seed=0)


def test_figures_are_those_counted_by_hand():
    pairs = labelled("a", "b", "c", "d", "e")
    # right, right, wrong, tie; of e nothing is said
    found = figures(pairs, judged(a=1.0, b=2.0), judged(c=-1.0, d=0.0, e=None))
    right = found["judge_right"]
    assert (right["value"], right["n"]) == (2.5 / 4, 4)
    assert right["low"] < 0.625 < right["high"]
    sure = [0.7310586, 0.8807971, 0.7310586, 0.5]
    assert found["judge_confidence"]["value"] == pytest.approx(sum(sure) / 4)
    assert found["judge_longer"]["value"] == 2.5 / 4  # the chosen ones are longer
    assert found["label_longer"]["value"] == 1.0


def test_length_counts_where_it_differs_and_on_the_side_that_is_preferred():
    pairs = pl.concat([labelled("a", chosen="x", rejected="x y"), labelled("b", rejected="x y z")])
    found = figures(pairs, judged(a=1.0, b=1.0))
    assert (found["judge_longer"]["value"], found["judge_longer"]["n"]) == (0.0, 1)
    assert found["label_longer"]["value"] == 0.0
    assert figures(pairs, judged(a=-1.0, b=1.0))["judge_longer"]["value"] == 1.0


def test_a_judge_that_compares_is_taken_at_its_word():
    told = Verdict("given", preference=0.8)
    found = figures(labelled("a"), verdicts_table(("a", ("ar", "ac"), told)))
    assert found["judge_right"]["value"] == 0.0
    assert found["judge_confidence"]["value"] == pytest.approx(0.8)


def test_a_judge_that_says_nothing_has_no_figures():
    assert figures(labelled("a"), judged(a=None)) == {}


def test_of_a_pair_a_prompt_the_interval_is_wilsons():
    pairs = labelled(*(f"p{i}" for i in range(20)))
    found = figures(pairs, judged(**{f"p{i}": 1.0 if i < 15 else -1.0 for i in range(20)}))
    right = found["judge_right"]
    assert (right["low"], right["high"]) == pytest.approx((0.531299, 0.888138), abs=1e-5)


def test_the_pilots_share_is_that_of_other_shares():
    hits = np.arange(30) % 3 > 0
    gains = {f"p{i:02}": 1.0 if hit else -1.0 for i, hit in enumerate(hits)}
    right = figures(labelled(*gains), judged(**gains))["judge_right"]
    known = share(hits, np.arange(30))
    assert (right["value"], right["low"], right["high"]) == (known.value, known.low, known.high)
