"""Bayesian logistic regression of preferences on vectors, by Laplace's approximation.

    P(i better than j) = σ(w·(e_i - e_j)),   w ~ N(0, τ²·I)
    posterior          ≈ N(ŵ, H⁻¹),          H = Σ_n p_n(1 - p_n)·φ_n φ_nᵀ + I/τ²

ŵ is the mode, φ_n = e_w - e_l of pair n, p_n = σ(ŵ·φ_n). τ is judged by the evidence, that is the
posterior's normaliser (MacKay, "The Evidence Framework Applied to Classification Networks", Neural
Computation 4(5), 1992). It is Chu and Ghahramani's "Preference Learning with Gaussian Processes"
(ICML 2005) with a linear kernel and the logistic function in place of the probit.

Few labels hardly tell one τ from another, and Laplace's evidence then favours small ones, whose
spreads are too narrow. So of all τ that the labels do not rule out, by a Bayes factor of 20
("strong" for Kass and Raftery, "Bayes Factors", JASA 90(430), 1995), the largest is taken. With
fewer labels than dimensions and hardly any noise, spreads are still too narrow.

Notation: M pairs, n vectors, d dimensions.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular  # type: ignore[import-untyped]

from prefopt_core.arrays import FloatArray, log_sigmoid, sigmoid

SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""τ that are tried: on vectors of unit length, from hardly any preference to near certainty."""

RULED_OUT = np.log(20.0)
"""A τ whose evidence, a logarithm, is lower than the best one's by more than this."""

STEPS = 50  # Newton's method takes about ten
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Posterior:
    """What is believed of w.

    Attributes:
        mean: (d,) ŵ.
        root: (d, d) lower triangular, L with L·Lᵀ = H.
        scale: τ.
        evidence: log P(labels | τ), by Laplace's approximation; 0 without labels.
    """

    mean: FloatArray
    root: FloatArray
    scale: float
    evidence: float

    def rewards(self, vectors: FloatArray) -> FloatArray:
        """(n,) mean of w·e for (n, d) vectors, in log-odds."""
        return vectors @ self.mean

    def spreads(self, vectors: FloatArray) -> FloatArray:
        """(n,) standard deviation of w·e, √(eᵀH⁻¹e), for (n, d) vectors."""
        return np.sqrt((solve_triangular(self.root, vectors.T, lower=True) ** 2).sum(axis=0))

    def heads(self, vectors: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
        """(n, count) rewards by as many w drawn from the posterior."""
        drawn = rng.standard_normal((len(self.mean), count))
        return vectors @ (self.mean[:, None] + solve_triangular(self.root.T, drawn))


def fit(differences: FloatArray, probabilities: FloatArray) -> Posterior:
    """Fit the posterior to labelled pairs, with the largest τ that they do not rule out.

    Args:
        differences: (M, d) φ, vector of the chosen response minus that of the rejected one. M may
            be 0: then w is what it was before, with τ = 1.
        probabilities: (M,) P(chosen better than rejected) of the labels, 1 where they are certain.
    """
    start = np.zeros(differences.shape[1])
    if not len(differences):
        return _fit(differences, probabilities, 1.0, start)
    fits: list[Posterior] = []
    for scale in SCALES:
        fits.append(_fit(differences, probabilities, scale, fits[-1].mean if fits else start))
    best = max(posterior.evidence for posterior in fits)
    return [posterior for posterior in fits if posterior.evidence >= best - RULED_OUT][-1]


def _fit(phi: FloatArray, labels: FloatArray, scale: float, start: FloatArray) -> Posterior:
    """The posterior at τ = scale: Newton's method from `start`; what does not descend is halved."""
    precision = np.eye(phi.shape[1]) / scale**2

    def loss(w: FloatArray) -> float:
        z = phi @ w
        likelihood = labels @ log_sigmoid(z) + (1 - labels) @ log_sigmoid(-z)
        return float(w @ w / (2 * scale**2) - likelihood)

    w, root = start, precision
    for _ in range(STEPS):
        p = sigmoid(phi @ w)
        root = np.linalg.cholesky((phi.T * (p * (1 - p))) @ phi + precision)
        gradient = w / scale**2 + phi.T @ (p - labels)
        half = solve_triangular(root, gradient, lower=True)
        if half @ half <= TOLERANCE:  # twice what the loss can still fall by, in nats
            break
        step, length = solve_triangular(root.T, half), 1.0
        while loss(w - length * step) > loss(w):
            length /= 2
        w = w - length * step
    log_determinant = 2 * np.log(root.diagonal()).sum() + 2 * len(w) * np.log(scale)
    return Posterior(w, root, scale, float(-loss(w) - log_determinant / 2))
