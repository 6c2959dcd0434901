"""Evaluators, against figures of the package alpaca_eval, closed forms and recorded judgments."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prefopt_core.evaluation import EVALUATORS, Games
from prefopt_core.evaluation.bradley_terry import ELO

ROOT = Path(__file__).parents[3]
RECORDED = json.loads((ROOT / "tests/golden/length_controlled.json").read_text())
POOL = ROOT.parent / "shared/data/pool_alpaca.parquet"


def against(preference, length=None, reference_length=None):
    """Games of one policy against the reference."""
    n = len(preference)
    return Games(
        pl.DataFrame(
            {
                "prompt_id": [f"{at:06}" for at in range(n)],
                "policy": "model",
                "opponent": "reference",
                "preference": np.asarray(preference, dtype=float),
                "length": np.asarray(length or [1] * n, dtype=float),
                "opponent_length": np.asarray(reference_length or [1] * n, dtype=float),
            }
        ),
        "reference",
    )


def says(name, games):
    """The figure that an evaluator has of the one policy."""
    (figure,) = EVALUATORS[name](games, 0)
    return figure


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{len(case['preference'])} games")
def test_figures_are_those_of_the_alpaca_eval_package(case):
    games = against(case["preference"], case["length"], case["reference_length"])
    expected = case["says"]
    rate = says("win_rate", games)
    assert rate.value == pytest.approx(expected["win_rate"], rel=1e-12)
    assert rate.error == pytest.approx(expected["standard_error"], rel=1e-12)
    assert says("discrete_win_rate", games).value == pytest.approx(expected["discrete_win_rate"])
    controlled = says("length_controlled_win_rate", games)
    # Two penalties can be as good to the solver's tolerance; then either may be taken.
    assert controlled.value == pytest.approx(expected["length_controlled_win_rate"], abs=2e-5)
    assert controlled.low < controlled.value < controlled.high


@pytest.mark.slow
def test_a_policy_that_wins_by_length_alone_wins_half_at_equal_length():
    rng = np.random.default_rng(0)
    longer = rng.normal(300, 400, 400).round()
    chance = 1 / (1 + np.exp(-3 * np.tanh(longer / longer.std(ddof=1))))
    games = against(chance, (1000 + longer).tolist(), [1000] * 400)
    assert says("win_rate", games).value > 0.65
    assert says("length_controlled_win_rate", games).value == pytest.approx(0.5, abs=0.01)


def test_a_policy_that_always_wins_and_one_of_few_games_are_no_trouble():
    always = says("length_controlled_win_rate", against([1.0] * 20))
    assert (always.value, always.low, always.high) == (1.0, 1.0, 1.0)
    assert [*EVALUATORS["length_controlled_win_rate"](against([1.0] * 4), 0)] == []
    nothing = says("length_controlled_win_rate", against([1.0, 0.0] * 12))
    assert (nothing.value, nothing.error, nothing.low, nothing.high) == (0.5, None, None, None)
    alone = says("win_rate", against([1.0]))
    assert (alone.value, alone.error, alone.n) == (1.0, None, 1)
    assert 1000 < says("bradley_terry", against([1.0] * 20)).value < np.inf


def test_bradley_terry_finds_the_strengths_that_made_the_games():
    theta = {"reference": 0.0, "a": 0.8, "b": -0.4, "c": 1.5}
    rows = [
        (f"{at}", policy, opponent, 1 / (1 + np.exp(theta[opponent] - theta[policy])), 1.0, 1.0)
        for at in range(30)
        for i, opponent in enumerate(theta)
        for policy in [*theta][i + 1 :]
    ]
    columns = ("prompt_id", "policy", "opponent", "preference", "length", "opponent_length")
    games = Games(pl.DataFrame(rows, schema=columns, orient="row"), "reference")
    found = {figure.policy: figure for figure in EVALUATORS["bradley_terry"](games, 0)}
    assert {*found} == {"a", "b", "c"}
    for name, figure in found.items():
        assert figure.value == pytest.approx(ELO * theta[name], abs=0.1)
        assert figure.n == 90


def test_bradley_terry_of_two_is_the_log_odds_of_the_win_rate():
    figure = says("bradley_terry", against([1.0] * 30 + [0.0] * 10))
    assert figure.value == pytest.approx(400 * np.log10(3), abs=0.1)
    assert figure.low < figure.value < figure.high


@pytest.mark.skipif(not POOL.exists(), reason="../shared/data of this checkout has no judgments")
def test_recorded_judgments_give_what_the_published_formulas_say():
    pool = pl.read_parquet(POOL).drop_nulls("score").sort("prompt_id")
    for _, own in pool.group_by("model"):
        games, score = against(own["score"]), own["score"].to_numpy()
        rate, n = says("win_rate", games), len(score)
        assert rate.value == pytest.approx(score.sum() / n)
        assert rate.error == pytest.approx(
            np.sqrt(((score - score.mean()) ** 2).sum() / (n - 1) / n)
        )
        discrete = ((score > 0.5).sum() + (score == 0.5).sum() / 2) / n
        assert says("discrete_win_rate", games).value == pytest.approx(discrete)
