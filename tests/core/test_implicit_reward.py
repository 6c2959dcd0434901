import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.implicit_reward import implicit_reward, preference_probability

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "spa.json").read_text())["cases"]
rewards = st.floats(-1e6, 1e6)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
@pytest.mark.parametrize("case", [c for c in GOLDEN if c["kind"] == "judgment"])
def test_judges_as_the_golden_cases_do(case, kind):
    policy, reference = kind(case["policy_sum_logp"]), kind(case["init_ref_sum_logp"])
    plain = implicit_reward(policy, reference, beta=1.0)
    assert plain.tolist() == pytest.approx(case["implicit_reward_no_beta"], abs=1e-4)
    scores = implicit_reward(policy, reference, beta=case["beta"])
    chosen, rejected = int(scores.argmax()), int(scores.argmin())
    assert (chosen, rejected) == (case["chosen"], case["rejected"])
    probability = preference_probability(scores[chosen : chosen + 1], scores[rejected])
    assert float(probability[0]) == pytest.approx(case["p_chosen_over_rejected"], abs=1e-5)


def test_beta_scales_rewards_and_keeps_their_order():
    policy, reference = np.array([-5.0, -3.0, -9.0]), np.array([-4.0, -4.0, -4.0])
    for beta in (0.01, 0.1, 1.0):
        scores = implicit_reward(policy, reference, beta=beta)
        assert scores.argsort().tolist() == [2, 0, 1]
        assert scores == pytest.approx(beta * np.array([-1.0, 1.0, -5.0]))


@given(rewards, rewards)
def test_the_probabilities_of_both_orders_sum_to_one(one, other):
    forth, back = preference_probability(one, other), preference_probability(other, one)
    assert forth + back == pytest.approx(1.0)
    assert 0 <= forth <= 1


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_odds_multiply_along_a_chain(values):
    def odds(i, j):
        p = preference_probability(values[i], values[j])
        return p / (1 - p)

    if all(abs(values[i] - values[j]) < 15 for i, j in combinations(range(3), 2)):
        assert odds(0, 2) == pytest.approx(odds(0, 1) * odds(1, 2), rel=1e-4)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_enormous_differences_do_not_overflow(kind):
    with np.errstate(over="raise", invalid="raise"):
        found = preference_probability(kind([1e300, -1e300, 0.0]), kind([0.0, 0.0, 0.0]))
    assert found.tolist() == [1.0, 0.0, 0.5]
