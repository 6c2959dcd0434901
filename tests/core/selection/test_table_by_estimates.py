"""Pairs chosen by estimated rewards, over a whole table."""

import numpy as np
import polars as pl
import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.tables import TABLES, check_table
from prefopt_core.selection.table import select_responses
from tests.selecting import config, embedded, sampled, texts


def estimated(candidates, heads=3, spread=1.0):
    """Table `estimates`: rewards by id, and spreads that are all alike."""
    ids = candidates["candidate_id"].unique(maintain_order=True)
    draws = [np.random.default_rng(int(i[:8], 16)).normal(size=1 + heads) for i in ids]
    return pl.DataFrame(
        {
            "candidate_id": ids,
            "reward": [float(draw[0]) for draw in draws],
            "spread": [spread] * len(ids),
            "heads": [draw[1:].tolist() for draw in draws],
        },
        schema=TABLES["estimates"].columns,
    )


MANY = sampled(**{f"prompt {i}": [f"text {j}" for j in range(4 + i % 3)] for i in range(12)})


@pytest.mark.parametrize(
    "strategy",
    [
        *("bald", "delta_quantile", "delta_ucb", "drts", "dts", "entropy", "info_gain", "margin"),
        *("margin_std", "max_min_lcb", "sea", "vote_entropy"),
    ],
)
def test_pair_of_a_prompt_depends_on_the_seed_and_the_prompt_alone(strategy):
    known = estimated(MANY)
    every = select_responses(MANY, None, config(strategy), known, seed=3)
    for prompt_id in ("prompt 0", "prompt 7"):
        alone = MANY.filter(pl.col("prompt_id") == prompt_id)
        one = select_responses(alone, None, config(strategy), known, seed=3)
        assert texts(one, MANY)[prompt_id] == texts(every, MANY)[prompt_id]
    assert set(every.group_by("prompt_id").len()["len"]) == {2}


def test_another_seed_draws_other_pairs():
    known = estimated(MANY)
    one, other = (select_responses(MANY, None, config("dts"), known, seed=s) for s in (0, 1))
    assert not one.equals(other)


def test_estimates_are_found_by_id_whatever_their_order():
    known = estimated(MANY)
    chosen = select_responses(MANY, embedded(MANY), config("delta_ucb"), known, seed=0)
    turned = select_responses(MANY, embedded(MANY), config("delta_ucb"), known.reverse(), seed=0)
    assert chosen.equals(turned)
    assert chosen["redundancy"].null_count() == 0
    rewards = dict(known.select("candidate_id", "reward").iter_rows())
    ids = MANY.filter(pl.col("prompt_id") == "prompt 0")["candidate_id"]
    best_and_worst = {max(ids, key=rewards.get), min(ids, key=rewards.get)}  # spreads are equal
    assert set(chosen.filter(pl.col("prompt_id") == "prompt 0")["candidate_id"]) == best_and_worst


def test_rules_without_heads_need_none():
    known = estimated(MANY, heads=0, spread=0.0)
    check_table("selections", select_responses(MANY, None, config("dts"), known, seed=0))


def test_candidate_without_estimate_is_named():
    known = estimated(MANY)[1:]
    with pytest.raises(DataError, match=r"1 of \d+ candidates have no estimate.*text 0"):
        select_responses(MANY, None, config("dts"), known, seed=0)
