"""Noise detection of SPA: which self-made labels are probably wrong, arXiv:2406.04412.

A pair is flagged when the policy barely prefers its chosen response: when its reward margin β·Δ̃ is
at or below a threshold τ, the K-th percentile of margins. De-coupled detection computes Δ̃ with a
model extrapolated beyond the policy, away from the reference, so that the policy does not judge
alone the labels it is being fitted to.

Notation: T tokens, V words of the vocabulary, h logits, y labels, λ the extrapolation, K the noise
share, W the length of the window.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import Array, label_logps


def extrapolated_logps(
    policy_logits: Array, reference_logits: Array, labels: Array, lam: float
) -> Array:
    """Log-probabilities of a response under the extrapolated model, per token.

        log p̃(y) = log softmax((1 + λ)·h_policy - λ·h_reference)[y]

    Args:
        policy_logits: (T, V).
        reference_logits: (T, V).
        labels: (T,), the token that came next, integers in [0, V).
        lam: λ >= 0; at 0 the policy itself. ½, ¼, ⅛ in the paper's rounds 1, 2, 3.

    Returns:
        (T,) in nats; adding a constant to all logits of a position changes nothing.
    """
    return label_logps((1 + lam) * policy_logits - lam * reference_logits, labels)


def running_threshold(margins: Sequence[float], *, window: int, noise_share: float) -> float:
    """τ from the last W margins, as the paper's code computes it.

    The mean of the (⌊K·W⌋+1)-th and the next smallest: with W = 50 and K = 10 % the 6th and 7th.
    That is a little more than a share of K: 12.8 % of stationary margins lie at or below it.
    Compare new margins with τ first and add them to the window afterwards.

    Args:
        margins: Reward margins β·Δ̃ so far, oldest first; only the last W count.
        window: W >= 2.
        noise_share: K in [0, 1].

    Returns:
        τ in the units of `margins`; 0 until W of them are there.

    >>> running_threshold([4.0, 2.0, 3.0, 1.0], window=4, noise_share=0.25)
    2.5
    """
    if len(margins) < window:
        return 0.0
    ordered = sorted(margins[-window:])
    rank = min(int(noise_share * window + 1e-9), window - 2)  # 0.29 · 100 is below 29 in floats
    return (ordered[rank] + ordered[rank + 1]) / 2


def quantile_threshold(margins: npt.NDArray[np.float64], *, noise_share: float) -> float:
    """τ as the exact K-quantile: the smallest margin with a share of at least K at or below it.

    Args:
        margins: (n,) reward margins β·Δ̃ of all pairs that may be flagged, n >= 1.
        noise_share: K in [0, 1].

    >>> quantile_threshold(np.array([4.0, 2.0, 3.0, 1.0]), noise_share=0.25)
    1.0
    """
    return float(np.quantile(margins, noise_share, method="inverted_cdf"))


def flag_noisy(
    margins: Array, threshold: float, *, step: int, max_steps: int, warm_up: float
) -> Array:
    """Flag pairs, z = 1, where β·Δ̃ <= τ; none during the first steps, when margins say little.

    Args:
        margins: (B,) reward margins β·Δ̃.
        threshold: τ, in the same units.
        step: Optimiser steps done, from 0.
        max_steps: Optimiser steps of the whole training.
        warm_up: Share of the steps without flags, in [0, 1]; 0.2 in the paper.

    Returns:
        (B,) of bool.
    """
    return (margins <= threshold) & (step >= warm_up * max_steps)
