"""An ensemble of reward heads on vectors that stay as they are; its spread is what is not known.

    r_h(e) = τ·v_h·relu(W_h e) / √K          W_h (K, d), v_h (K,): at first N(0, 1), each for itself
    loss_h = mean_n [ -p·log σ(δ_hn) - (1 - p)·log σ(-δ_hn) + 0.01·(r_h(e_w) + r_h(e_l))² ]
             + |W_h - W_h⁰|² / 2M + |v_h - v_h⁰|² / 2M,          δ_hn = r_h(e_w) - r_h(e_l)

Heads of two layers, pulled towards where each began, as in ActiveUltraFeedback, arXiv:2603.09692;
there the pull fades as a run goes on. Here it weighs as much as one label does in M, which makes
heads about draws from a posterior with the prior N(0, 1): an anchored ensemble (Pearce et al.,
arXiv:1810.05546). All heads see all labels; what sets them apart is where they began.

Notation: M pairs, n vectors, d dimensions, H heads, K hidden units.
"""

from collections.abc import Iterator

import numpy as np

from prefopt_core.arrays import FloatArray, IndexArray, sigmoid

HIDDEN = 128
"""K."""
SCALE = 4.0
"""τ: before any label two vectors of unit length may be some 4 apart, in log-odds."""
CENTRE = 0.01
"""Weight of (r_w + r_l)²: it holds what no comparison says, how high all rewards are."""
STEPS, BATCH = 300, 64
"""Of Adam, with this learning rate, which falls to 0 in a line, and usual momenta."""
RATE, MOMENTA = 0.1, (0.9, 0.999)
AT_ONCE = 4096
"""Vectors whose hidden units are in memory together."""


class Heads:
    """Reward heads.

    Attributes:
        first: (d, H, K) W.
        second: (H, K) v.
    """

    def __init__(self, dimensions: int, count: int, rng: np.random.Generator) -> None:
        """Draw `count` heads from the prior."""
        self.first = rng.standard_normal((dimensions, count, HIDDEN), dtype=np.float32)
        self.second = rng.standard_normal((count, HIDDEN), dtype=np.float32)

    def rewards(self, vectors: FloatArray) -> FloatArray:
        """(n, H) each head's rewards of (n, d) vectors, in log-odds."""
        parts = [
            self._forward(vectors[at : at + AT_ONCE].astype(np.float32))[1]
            for at in range(0, len(vectors), AT_ONCE)
        ]
        return np.concatenate(parts).astype(np.float64)

    def fit(
        self,
        chosen: FloatArray,
        rejected: FloatArray,
        probabilities: FloatArray,
        rng: np.random.Generator,
    ) -> None:
        """Train on labelled pairs.

        Args:
            chosen: (M, d) vectors of the chosen responses, M >= 1.
            rejected: (M, d) those of the rejected ones.
            probabilities: (M,) P(chosen better than rejected) of the labels.
            rng: Deals the pairs out to batches.
        """
        both = np.stack([chosen, rejected]).astype(np.float32)
        weights = [self.first, self.second]
        anchors = [weight.copy() for weight in weights]
        mean, square = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
        for step, batch in enumerate(_batches(len(chosen), rng)):
            slopes = self._slopes(both[:, batch], probabilities[batch].astype(np.float32))
            faded = [1 - momentum ** (step + 1) for momentum in MOMENTA]
            rate = RATE * (1 - step / STEPS)
            for at, (weight, slope) in enumerate(zip(weights, slopes, strict=True)):
                slope += (weight - anchors[at]) / len(chosen)
                mean[at] += (1 - MOMENTA[0]) * (slope - mean[at])
                square[at] += (1 - MOMENTA[1]) * (slope**2 - square[at])
                weight -= rate * mean[at] / faded[0] / (np.sqrt(square[at] / faded[1]) + 1e-8)

    def _forward(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, H, K) hidden units, and (n, H) rewards."""
        hidden = np.maximum(np.tensordot(vectors, self.first, 1), 0)
        return hidden, SCALE / HIDDEN**0.5 * np.einsum("nhk,hk->nh", hidden, self.second)

    def _slopes(self, both: FloatArray, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradients of the loss without its pull, by W and by v; `both` (2, B, d)."""
        vectors = both.reshape(-1, both.shape[2])
        hidden, rewards = self._forward(vectors)
        won, lost = np.split(rewards, 2)
        by_difference = (sigmoid(won - lost) - probabilities[:, None]) / len(won)
        by_sum = 2 * CENTRE * (won + lost) / len(won)
        by_reward = np.concatenate([by_sum + by_difference, by_sum - by_difference])
        by_reward *= SCALE / HIDDEN**0.5
        by_hidden = by_reward[:, :, None] * self.second * (hidden > 0)
        return np.tensordot(vectors.T, by_hidden, 1), np.einsum("nh,nhk->hk", by_reward, hidden)


def _batches(pairs: int, rng: np.random.Generator) -> Iterator[IndexArray]:
    """Indices of the pairs of each step: all in turn, in an order drawn again for each pass."""
    waiting = np.empty(0, dtype=np.intp)
    for _ in range(STEPS):
        while len(waiting) < min(BATCH, pairs):
            waiting = np.concatenate([waiting, rng.permutation(pairs)])
        yield waiting[:BATCH]
        waiting = waiting[BATCH:]
