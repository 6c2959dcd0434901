import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prefopt_core.implicit_reward import implicit_reward
from prefopt_core.noise import (
    extrapolated_logps,
    flag_noisy,
    quantile_threshold,
    running_threshold,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "spa.json").read_text())["cases"]
logits = arrays(float, (5, 7), elements=st.floats(-30, 30))
labels = arrays(np.int64, 5, elements=st.integers(0, 6))
lams = st.floats(0, 2)


def golden(kind):
    return [c for c in GOLDEN if c["kind"] == kind]


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
@pytest.mark.parametrize("case", golden("logit_extrapolation"), ids=lambda c: f"lam={c['lam']}")
def test_extrapolation_equals_the_golden_log_probability(case, kind):
    policy, reference, chosen = (
        kind(case[name]) for name in ("policy_logits", "ref_logits", "labels")
    )
    found = extrapolated_logps(policy, reference, chosen, case["lam"])
    assert type(found) is type(policy)
    assert float(found.sum()) == pytest.approx(case["mix_logp"], abs=1e-5)


@pytest.mark.parametrize("case", golden("running_threshold"), ids=lambda c: f"K={c['K']}")
def test_the_running_threshold_equals_the_golden_one_after_each_margin(case):
    seen, margins = [], case["margins"]
    for i in range(len(margins)):
        seen.append(
            running_threshold(margins[: i + 1], window=case["window"], noise_share=case["K"])
        )
    assert seen == pytest.approx(case["threshold_after_each"], abs=1e-12)


@pytest.mark.parametrize("case", [c for c in golden("loss") if c["loss_type"] != "simpo"])
def test_de_coupled_margins_equal_the_golden_ones(case):
    chosen, rejected = (
        implicit_reward(np.array(case[f"mix_{s}"]), np.array(case[f"ref_{s}"]), beta=case["beta"])
        for s in ("chosen", "rejected")
    )
    assert chosen - rejected == pytest.approx(case["mix_margin"], abs=1e-12)


@given(logits, logits, lams)
def test_extrapolated_probabilities_sum_to_one(policy, reference, lam):
    every = [extrapolated_logps(policy, reference, np.full(5, word), lam) for word in range(7)]
    assert np.exp(every).sum(axis=0) == pytest.approx(np.ones(5))


@given(logits, logits, labels)
def test_without_extrapolation_the_reference_does_not_matter(policy, reference, chosen):
    probabilities = np.exp(policy) / np.exp(policy).sum(axis=1, keepdims=True)
    found = extrapolated_logps(policy, reference, chosen, 0.0)
    assert found == pytest.approx(np.log(probabilities[np.arange(5), chosen]), abs=1e-9)


@given(logits, labels, lams)
def test_a_policy_that_equals_its_reference_is_its_own_extrapolation(policy, chosen, lam):
    found = extrapolated_logps(policy, policy, chosen, lam)
    assert found == pytest.approx(extrapolated_logps(policy, policy, chosen, 0.0), abs=1e-9)


@given(logits, logits, labels, lams, st.floats(-10, 10))
def test_a_constant_added_to_the_logits_of_a_position_changes_nothing(
    policy, reference, chosen, lam, constant
):
    found = extrapolated_logps(policy + constant, reference - constant, chosen, lam)
    expected = extrapolated_logps(policy, reference, chosen, lam)
    assert found == pytest.approx(expected, abs=1e-8)


@given(logits, logits, labels, lams)
def test_tensors_give_what_arrays_give(policy, reference, chosen, lam):
    tensors = [torch.tensor(x) for x in (policy, reference, chosen)]
    found = extrapolated_logps(*tensors, lam).numpy()
    assert found == pytest.approx(extrapolated_logps(policy, reference, chosen, lam), abs=1e-9)


def test_enormous_logits_do_not_overflow():
    found = extrapolated_logps(np.array([[1e4, -1e4]]), np.zeros((1, 2)), np.array([1]), 0.5)
    assert found.tolist() == [-3e4]


@given(
    arrays(float, 60, elements=st.floats(-5, 5), unique=True),
    st.sampled_from([0.1, 0.29, 0.3, 0.5, 0.9]),
)
def test_the_exact_threshold_flags_just_the_share(margins, share):
    threshold = quantile_threshold(margins, noise_share=share)
    flagged = flag_noisy(margins, threshold, step=1, max_steps=1, warm_up=0.2)
    assert flagged.sum() == np.ceil(round(60 * share, 9))


def test_the_running_threshold_flags_nearly_thirteen_percent_of_stationary_margins():
    margins = np.random.default_rng(0).normal(size=20_000).tolist()
    flagged = [
        margins[i] <= running_threshold(margins[i - 50 : i], window=50, noise_share=0.1)
        for i in range(50, len(margins))
    ]
    assert np.mean(flagged) == pytest.approx(0.128, abs=0.005)


@given(st.floats(0, 1), st.integers(2, 100))
def test_the_running_threshold_lies_within_its_window_for_any_share(share, window):
    margins = [float(i) for i in range(window)]
    assert 0 < running_threshold(margins, window=window, noise_share=share) < window - 1 or (
        window == 2
    )


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_nothing_is_flagged_during_the_warm_up(kind):
    margins = kind([-1.0, 0.3, 0.4])
    early = flag_noisy(margins, 0.3, step=19, max_steps=100, warm_up=0.2)
    late = flag_noisy(margins, 0.3, step=20, max_steps=100, warm_up=0.2)
    assert early.tolist() == [False, False, False]
    assert late.tolist() == [True, True, False]
