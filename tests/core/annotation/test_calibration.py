"""A judge made true to labelled pairs: what fits, what it does to verdicts, and its limits."""

import logging

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from prefopt_core.annotation.calibration import LEAST, calibrate, fit
from prefopt_core.labels.evidence import evidence_in
from tests.verdicts import scores_table


def drawn(n, a, b, seed=0):
    """Δr and Δl of n pairs, in the order in which a judge that needs a and b would label them."""
    rng = np.random.default_rng(seed)
    rewards, lengths = rng.normal(0, 1.5, n), rng.normal(0, 0.8, n)
    first = rng.random(n) < expit(a * rewards + b * lengths)
    sign = np.where(first, 1.0, -1.0)
    return sign * rewards, sign * lengths, np.ones(n)


def loss(a, b, rewards, lengths, labels):
    """The one of the module's docstring, written otherwise."""
    p = expit(a * rewards + b * lengths)
    told = labels * np.log(p) + (1 - labels) * np.log(1 - p)
    prior = np.mean(rewards**2) * (a - 1) ** 2 + np.mean(lengths**2) * b**2
    return -told.sum() + prior / 2


def test_without_labels_the_judge_stays_as_it_is():
    nothing = np.array([])
    assert fit(nothing, nothing, nothing) == (1.0, 0.0)


def test_one_pair_by_hand():
    # Δr = 0, Δl = 1: the gradient is 0 where b = σ(-b)
    a, b = fit(np.array([0.0]), np.array([1.0]), np.array([1.0]))
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle < expit(-middle) else (low, middle)
    assert (a, b) == (1.0, pytest.approx(low, abs=1e-7))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [5, 25, 200])
def test_no_other_weights_are_more_probable(n, seed):
    pairs = drawn(n, 0.5, -1.0, seed)
    a, b = fit(*pairs)
    best, grid = loss(a, b, *pairs), np.linspace(-0.3, 0.3, 25)
    others = [(max(LEAST, a + da), b + db) for da in grid for db in grid]
    assert all(best <= loss(*other, *pairs) + 1e-9 for other in others)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_the_unit_of_length_does_not_matter_and_small_rewards_are_scaled_up(scale):
    rewards, lengths, labels = drawn(25, 2.0, -1.0)
    a, b = fit(rewards, lengths, labels)
    assert fit(rewards, lengths * scale, labels) == pytest.approx((a, b / scale), rel=1e-5)
    small, _ = fit(rewards / 20, lengths, labels)
    assert small > 10 * a  # were the prior's unit that of rewards, 25 pairs could not move it


def test_where_nothing_differs_the_judge_stays_as_it_is():
    assert fit(np.zeros(9), np.zeros(9), np.ones(9)) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1.0, 0.0),  # a judge that is calibrated
        (0.3, 0.0),  # too sure
        (2.0, 0.0),  # not sure enough
        (1.0, -1.5),  # likes length that is not liked
        (0.7, 1.0),
    ],
)
def test_many_labels_find_what_they_were_drawn_by(a, b):
    assert fit(*drawn(20_000, a, b)) == pytest.approx((a, b), abs=0.06)


def test_few_labels_move_it_less_than_many_that_say_the_same():
    pairs = drawn(6, 0.2, -2.0)
    found = [fit(*(np.tile(each, times) for each in pairs)) for times in (1, 4, 100)]
    units = [np.mean(each**2) for each in pairs[:2]]
    moved = [units[0] * (a - 1) ** 2 + units[1] * b**2 for a, b in found]
    assert 0 < moved[0] < moved[1] < moved[2]


def test_a_label_that_is_not_certain_counts_for_both():
    rewards, lengths = np.array([1.0, -0.5]), np.array([0.2, 0.3])
    half = fit(rewards, lengths, np.full(2, 0.5))
    swapped = fit(-rewards, -lengths, np.full(2, 0.5))
    assert half == pytest.approx(swapped, abs=1e-7)
    assert fit(-rewards, -lengths, np.zeros(2)) == pytest.approx(fit(rewards, lengths, np.ones(2)))


def test_a_judge_that_is_always_wrong_keeps_its_order_and_no_confidence():
    n = 100
    for unit in np.linspace(0.01, 3, 50):
        assert fit(np.full(n, -unit), np.zeros(n), np.ones(n))[0] == LEAST


BETA = 0.1


def held_out(rewards, lengths):
    """Pairs with such Δr under one policy, whose chosen responses have so many characters more."""
    said = [("x" * (20 + more), "x" * 20) for more in lengths]
    return pl.DataFrame(
        {
            "prompt_id": [str(n) for n in range(len(said))],
            "chosen": [[{"role": "assistant", "content": one}] for one, _ in said],
            "rejected": [[{"role": "assistant", "content": other}] for _, other in said],
            "confidence": [1.0] * len(said),
            "ref_chosen_logps": [reward / BETA - 30.0 for reward in rewards],
            "ref_rejected_logps": [-40.0] * len(said),
        }
    )


REFERENCE = {"ref_chosen_logps": -30.0, "ref_rejected_logps": -40.0}


def as_reference(pairs):
    return pairs.with_columns(**{name: pl.lit(value) for name, value in REFERENCE.items()})


CANDIDATES = pl.DataFrame({"candidate_id": ["a", "b"], "response": ["x" * 40, "x" * 10]})
JUDGED = scores_table({"p": {"a": 0.8, "b": 0.2}, "q": {"b": None}})


def margin(verdicts):
    (found,) = evidence_in(verdicts)
    scores = dict(zip(found.responses, found.scores, strict=True))
    return scores["a"] - scores["b"]


def test_scores_of_verdicts_are_rescaled_and_nothing_else():
    rewards, more = [1.0, 2.0, -0.5, -1.0], [-10, -5, 0, 8]
    pairs = held_out(rewards, more)
    table = calibrate(JUDGED, CANDIDATES, [pairs], [as_reference(pairs)], BETA)
    a, b = fit(np.array(rewards), np.array(more), np.ones(4))
    assert margin(table) == pytest.approx(a * 0.6 + b * 30)
    assert table.drop("scores").equals(JUDGED.drop("scores"))
    assert table["scores"].null_count() == 1  # what was skipped stays so


def test_several_judges_are_calibrated_as_their_mean():
    low, high = held_out([0.5, 0.1], [3, -3]), held_out([1.5, -0.9], [3, -3])
    mean = held_out([1.0, -0.4], [3, -3])
    several, one = (
        calibrate(JUDGED, CANDIDATES, each, [as_reference(mean)], BETA)
        for each in ([low, high], [mean])
    )
    assert margin(several) == pytest.approx(margin(one))


def test_without_a_reference_model_the_log_probability_counts():
    pairs = held_out([1.0, 2.0], [0, 0])
    table = calibrate(JUDGED, CANDIDATES, [pairs], [], BETA)
    a, _ = fit(np.array([2.0, 3.0]), np.zeros(2), np.ones(2))  # β·(log π(y_w) - log π(y_l))
    assert margin(table) == pytest.approx(a * 0.6)


def test_without_a_pair_it_is_said_that_nothing_changes(caplog):
    none = held_out([], [])
    assert calibrate(JUDGED, CANDIDATES, [none], [as_reference(none)], BETA).equals(JUDGED)
    assert "no labelled pair is held out" in caplog.text


def test_what_was_found_is_logged_and_a_judge_that_knows_nothing_is_told_of(caplog):
    with caplog.at_level(logging.INFO):
        wrong = held_out([-2.0] * 60, [0] * 60)
        calibrate(JUDGED, CANDIDATES, [wrong], [as_reference(wrong)], BETA)
    assert "By 60 labelled pairs that were held out" in caplog.text
    assert "no more of the 60 labelled pairs" in caplog.text
