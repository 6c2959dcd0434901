import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prefopt_core import losses
from prefopt_core.noise import flag_noisy

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "spa.json").read_text())["cases"]
LOGPS = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
logps = arrays(float, 6, elements=st.floats(-500, 0))
four = st.tuples(logps, logps, logps, logps)
flags = arrays(bool, 6)
betas = st.floats(0.01, 5)
shares = st.floats(0, 1)


def golden(loss_type):
    return [c for c in GOLDEN if c["kind"] == "loss" and c["loss_type"] == loss_type]


@pytest.mark.parametrize("case", golden("sigmoid"))
def test_dpo_equals_the_golden_losses(case):
    found = losses.dpo(*(np.array(case[name]) for name in LOGPS), beta=case["beta"])
    assert found == pytest.approx(case["losses"], abs=1e-12)


@pytest.mark.parametrize("case", golden("distill"))
def test_noise_aware_dpo_equals_the_golden_losses(case):
    flagged = flag_noisy(
        np.array(case["mix_margin"]),
        case["threshold_value"],
        step=case["global_step"],
        max_steps=case["max_steps"],
        warm_up=0.2,
    )
    found = losses.noise_aware_dpo(
        *(np.array(case[name]) for name in LOGPS), flagged, beta=case["beta"], alpha=case["alpha"]
    )
    assert found == pytest.approx(case["losses"], abs=1e-12)
    if case["global_step"] >= 20:
        assert flagged.tolist() == [keep == 0 for keep in case["keep"]]


@pytest.mark.parametrize("case", golden("simpo"))
def test_simpo_equals_the_golden_losses(case):
    chosen, rejected = (np.array(case[name]) for name in LOGPS[:2])
    found = losses.simpo(chosen, rejected, beta=case["beta"], target_margin=0.8)
    assert found == pytest.approx(case["losses"], abs=1e-9)


@given(four, flags, betas, shares)
def test_noise_aware_dpo_is_dpo_where_nothing_is_flagged(pairs, flagged, beta, alpha):
    plain = losses.dpo(*pairs, beta=beta)
    found = losses.noise_aware_dpo(*pairs, flagged, beta=beta, alpha=alpha)
    assert np.array_equal(found[~flagged], plain[~flagged])
    assert np.array_equal(losses.noise_aware_dpo(*pairs, flagged, beta=beta, alpha=0.0), plain)


@given(four, betas)
def test_at_alpha_one_half_a_flagged_pair_is_a_draw(pairs, beta):
    chosen, rejected, reference_chosen, reference_rejected = pairs
    flagged = np.ones(6)
    swapped = (rejected, chosen, reference_rejected, reference_chosen)
    one = losses.noise_aware_dpo(*pairs, flagged, beta=beta, alpha=0.5)
    other = losses.noise_aware_dpo(*swapped, flagged, beta=beta, alpha=0.5)
    assert one == pytest.approx(other, abs=1e-9)


@given(four, betas, shares)
def test_at_alpha_one_a_flagged_label_is_turned_round(pairs, beta, alpha):
    chosen, rejected, reference_chosen, reference_rejected = pairs
    turned = losses.noise_aware_dpo(*pairs, np.ones(6), beta=beta, alpha=alpha)
    other = losses.noise_aware_dpo(
        rejected, chosen, reference_rejected, reference_chosen, np.ones(6),
        beta=beta, alpha=1 - alpha,
    )  # fmt: skip
    assert turned == pytest.approx(other, abs=1e-9)


@given(four, betas, st.floats(0, 0.49))
def test_rdpo_is_unbiased_under_flipped_labels(pairs, beta, share):
    chosen, rejected, reference_chosen, reference_rejected = pairs
    flipped = (rejected, chosen, reference_rejected, reference_chosen)
    right = losses.rdpo(*pairs, beta=beta, label_smoothing=share)
    wrong = losses.rdpo(*flipped, beta=beta, label_smoothing=share)
    expected = (1 - share) * right + share * wrong
    assert expected == pytest.approx(losses.dpo(*pairs, beta=beta), rel=1e-6, abs=1e-6)


@given(four, betas)
def test_without_smoothing_cdpo_and_rdpo_are_dpo(pairs, beta):
    plain = losses.dpo(*pairs, beta=beta)
    assert np.array_equal(losses.cdpo(*pairs, beta=beta, label_smoothing=0.0), plain)
    assert losses.rdpo(*pairs, beta=beta, label_smoothing=0.0) == pytest.approx(plain)


@given(st.floats(0.05, 5), st.floats(-20, 20))
def test_ipo_is_least_at_a_margin_of_half_over_beta(beta, offset):
    zero = np.zeros(1)
    assert losses.ipo(zero + 1 / (2 * beta), zero, zero, zero, beta=beta) == pytest.approx(0)
    off = losses.ipo(zero + 1 / (2 * beta) + offset, zero, zero, zero, beta=beta)
    assert off == pytest.approx(offset**2)


@given(st.floats(0.01, 0.49), st.floats(-3, 3))
def test_cdpo_is_least_where_the_model_is_as_sure_as_the_labels_are(share, offset):
    zero, best = np.zeros(1), math.log((1 - share) / share)

    def loss(margin):
        return losses.cdpo(zero + margin, zero, zero, zero, beta=1.0, label_smoothing=share)

    assert loss(best) <= loss(best + offset) + 1e-12


@given(four, flags, betas)
def test_tensors_give_what_arrays_give(pairs, flagged, beta):
    tensors = [torch.tensor(x) for x in pairs]
    for loss, settings in (
        (losses.dpo, {}),
        (losses.ipo, {}),
        (losses.cdpo, {"label_smoothing": 0.1}),
        (losses.rdpo, {"label_smoothing": 0.1}),
    ):
        found = loss(*tensors, beta=beta, **settings)
        assert isinstance(found, torch.Tensor)
        assert found.numpy() == pytest.approx(loss(*pairs, beta=beta, **settings), abs=1e-9)
    found = losses.noise_aware_dpo(*tensors, torch.tensor(flagged), beta=beta, alpha=0.1)
    expected = losses.noise_aware_dpo(*pairs, flagged, beta=beta, alpha=0.1)
    assert found.numpy() == pytest.approx(expected, abs=1e-9)


@given(four, flags, st.floats(0, 0.4))
def test_gradients_raise_the_chosen_and_lower_the_rejected_unless_overshot(pairs, flagged, alpha):
    tensors = [torch.tensor(x, requires_grad=True) for x in pairs]
    loss = losses.noise_aware_dpo(*tensors, torch.tensor(flagged), beta=0.1, alpha=alpha)
    loss.sum().backward()
    chosen, rejected = tensors[0].grad.numpy(), tensors[1].grad.numpy()
    assert np.array_equal(chosen, -rejected)
    margins = 0.1 * ((pairs[0] - pairs[2]) - (pairs[1] - pairs[3]))
    smoothing = alpha * flagged
    probability = 1 / (1 + np.exp(-margins))
    assert chosen == pytest.approx(-0.1 * (1 - smoothing - probability), abs=1e-12)


@given(four, betas)
def test_a_constant_added_to_all_logps_of_a_pair_changes_nothing(pairs, beta):
    shifted = [x + 7.0 for x in pairs]
    assert losses.dpo(*shifted, beta=beta) == pytest.approx(losses.dpo(*pairs, beta=beta))


@pytest.mark.parametrize("size", [1e4, 1e300])
def test_enormous_margins_do_not_overflow(size):
    huge, zero = np.array([size, -size]), np.zeros(2)
    assert losses.dpo(huge, zero, zero, zero, beta=1.0) == pytest.approx([0, size])
    assert losses.noise_aware_dpo(
        huge, zero, zero, zero, np.ones(2), beta=1.0, alpha=0.25
    ) == pytest.approx([size / 4, size * 3 / 4])


@given(four)
def test_inputs_are_left_alone(pairs):
    before = [x.copy() for x in pairs]
    losses.noise_aware_dpo(*pairs, np.ones(6), beta=0.1, alpha=0.1)
    losses.ipo(*pairs, beta=0.1)
    assert all(np.array_equal(x, y) for x, y in zip(pairs, before, strict=True))


# log π(y_w), log π(y_l), log π_ref(y_w), log π_ref(y_l): log-ratios of +2 and -1, so Δ = 3
ONE_PAIR = tuple(np.array([logp]) for logp in (-8.0, -11.0, -10.0, -10.0))


def test_sppo_is_half_the_squared_distance_from_what_the_win_rates_ask_for():
    # Of three responses: p_w = 0.8 asks for (0.8 - 0.5) / 0.1 = 3, and there is 2: off by -1.
    # p_l = 0.25 asks for -2.5, and there is -1: off by 1.5. (1 + 2.25) / 2 = 1.625.
    found = losses.sppo(*ONE_PAIR, np.array([0.8]), np.array([0.25]), beta=0.1)
    assert found == pytest.approx([1.625], abs=1e-12)
    there = losses.sppo(*ONE_PAIR, np.array([0.7]), np.array([0.4]), beta=0.1)
    assert there == pytest.approx([0], abs=1e-12)


def test_hard_sppo_asks_for_half_over_beta_each_way():
    # 1 / (2 · 0.1) = 5: (2 - 5)² + (-1 + 5)² = 9 + 16.
    assert losses.sppo_hard(*ONE_PAIR, beta=0.1) == pytest.approx([25.0], abs=1e-12)


@given(four, betas)
def test_sppo_of_certain_win_rates_is_half_of_hard_sppo(pairs, beta):
    soft = losses.sppo(*pairs, np.ones(6), np.zeros(6), beta=beta)
    assert 2 * soft == pytest.approx(losses.sppo_hard(*pairs, beta=beta), rel=1e-12)


def test_ssapo_mixes_the_loss_where_a_pair_was_and_where_it_was_moved_to():
    # β·Δ = 0.6. A quarter was moved down by 1.6: there the margin is -1.
    # -0.75 · log σ(0.6) - 0.25 · log σ(-1) = 0.75 · 0.437488 + 0.25 · 1.313262
    found = losses.ssapo(*ONE_PAIR, np.array([0.25]), np.array([1.6]), beta=0.2)
    assert found == pytest.approx([0.6564315], abs=1e-6)


@given(four, betas)
def test_ssapo_is_dpo_where_nothing_was_moved_and_dpo_with_an_offset_where_all_was(pairs, beta):
    plain = losses.dpo(*pairs, beta=beta)
    assert np.array_equal(losses.ssapo(*pairs, np.zeros(6), np.zeros(6), beta=beta), plain)
    chosen, *rest = pairs
    shifted = losses.dpo(chosen - 2 / beta, *rest, beta=beta)
    moved = losses.ssapo(*pairs, np.ones(6), np.full(6, 2.0), beta=beta)
    assert moved == pytest.approx(shifted, rel=1e-9, abs=1e-9)
