"""What a selection is worth: as a set of texts, and as a purchase of labels.

Notation: N distinct responses of a prompt, S the selected ones, u their cosine similarity.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from benchmarks.estimates import agreement
from benchmarks.quality.recorded_pools import Pool, Prompt
from prefopt_core.ground.randomness import rng_for
from prefopt_core.pairing.best_against_worst import pair
from prefopt_core.selection import STRATEGIES
from prefopt_core.selection.aepo import aepo, objective, pair_worth
from prefopt_core.selection.candidates import Found

METHODS: dict[str, tuple[str, dict[str, float]]] = {
    "random": ("random", {}),
    "aepo λ=0.5": ("aepo", {"diversity_weight": 0.5}),
    "aepo λ=1": ("aepo", {}),
    "aepo λ=2": ("aepo", {"diversity_weight": 2.0}),
    "representative": ("representative", {}),
    "diverse": ("diverse", {}),
    "coreset": ("coreset", {}),
    "k_medoids": ("k_medoids", {}),
    "west_of_n": ("west_of_n", {}),
}
"""`perplexity` is missing: no pool has the log-probabilities it needs."""

DRAWS = 10  # of `random`
DUPLICATE = 0.95
SETS = ("objective", "radius", "coverage", "similarity", "duplicates")
LABELS = ("chosen", "margin", "controlled", "length", "correct", "second", "bought")


def select(prompt: Prompt, method: str, k: int, draw: int) -> list[int]:
    """What a method takes; a prompt with fewer than k distinct responses gives all it has."""
    name, params = METHODS[method]
    rng = rng_for(draw, "quality", *prompt.candidates.responses)
    found = STRATEGIES[name](prompt.candidates, min(k, len(prompt)), rng, **params)
    return found.members if isinstance(found, Found) else found


def measure(pool: Pool, ks: Sequence[int], methods: Sequence[str]) -> pl.DataFrame:
    """One row per prompt, method, k and draw; `west_of_n` has k = 0, for it takes all."""
    slope = length_slope(pool) if pool.scored else np.nan
    rows = []
    for number, prompt in enumerate(pool.prompts):
        scales = {k: _scale(prompt, k) for k in ks}
        for method, k, draw in _choices(ks, methods):
            chosen = select(prompt, method, k, draw)
            row = {"prompt": number, "method": method, "k": k, "draw": draw}
            row |= of_set(prompt, chosen, scales[k]) if k else {}
            row |= of_labels(prompt, chosen, slope) if pool.scored else {}
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pool=pl.lit(pool.name))


def _choices(ks: Sequence[int], methods: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    for method in methods:
        for k in (0,) if method == "west_of_n" else ks:
            for draw in range(DRAWS if method == "random" else 1):
                yield method, k, draw


def of_set(prompt: Prompt, selected: list[int], scale: tuple[float, float]) -> dict[str, float]:
    """How well S stands for the responses, without any label.

    Returns:
        objective: AEPO's, λ = 1; 0 is the mean of all sets of this size, 1 the best.
        radius: 1 - u of the response farthest from S to its nearest of S.
        coverage: Mean over the samples of u to the nearest of S (facility location).
        similarity: Mean u within S.
        duplicates: Pairs of S with u above `DUPLICATE`.
    """
    u, counts = prompt.similarity, prompt.candidates.counts
    nearest = u[:, selected].max(axis=1)
    within = np.array([u[i, j] for i, j in combinations(selected, 2)])
    mean, best = scale
    value = objective(u, np.array([selected]), 1.0, counts)[0]
    return {
        "objective": (value - mean) / (best - mean) if best - mean > 1e-9 else np.nan,
        "radius": 1.0 - nearest.min(),
        "coverage": counts @ nearest / counts.sum(),
        "similarity": within.mean(),
        "duplicates": float((within > DUPLICATE).sum()),
    }


def _scale(prompt: Prompt, k: int) -> tuple[float, float]:
    """The objective of the mean and of the best set of size k.

    The mean set is worth the mean pair, whatever k; the best is what AEPO's search finds.
    """
    u, counts, k = prompt.similarity, prompt.candidates.counts, min(k, len(prompt))
    worth = pair_worth(u, counts=counts)
    mean = worth[np.triu_indices(len(worth), 1)].mean()
    return mean, objective(u, np.array([aepo(u, k, counts=counts)]), 1.0, counts)[0]


def of_labels(prompt: Prompt, selected: Sequence[int], slope: float) -> dict[str, float]:
    """What the labels of S buy: the best of S against the worst, if they differ.

    Returns:
        chosen: Score of the best of S.
        margin: Score of the best less that of the worst; 0 where no pair comes of it.
        controlled: The margin less what the difference in length predicts, see `length_slope`.
        length: Log length of the chosen less that of the rejected.
        correct: 1 if the second judgment agrees on the winner, 0.5 if it sees a tie.
        second: Second judgment of the chosen less that of the rejected.
        bought: Mean score of S.
    """
    score = prompt.score[selected]
    found = pair(score.tolist(), np.random.default_rng(0))
    best, worst = (selected[i] for i in found[0]) if found else (selected[0], selected[0])
    margin, length, second = (
        values[best] - values[worst] for values in (prompt.score, prompt.length, prompt.second)
    )
    nothing = np.nan  # no pair has neither a length nor a second judgment
    return {
        "chosen": score.max(),
        "margin": margin,
        "controlled": margin - slope * length,
        "length": length if found else nothing,
        "correct": float(np.sign(second) / 2 + 0.5) if found else nothing,
        "second": second if found else nothing,
        "bought": score.mean(),
    }


def length_slope(pool: Pool) -> float:
    """Score per unit of log length within prompts, by least squares over all of them."""
    length, score = (_centred(pool, name) for name in ("length", "score"))
    return float(length @ score / (length @ length))


def length_correlation(pool: Pool) -> float:
    """Correlation of score with log length within prompts."""
    return float(np.corrcoef(_centred(pool, "length"), _centred(pool, "score"))[0, 1])


def _centred(pool: Pool, name: str) -> np.ndarray:
    values = [getattr(prompt, name) for prompt in pool.prompts]
    return np.concatenate([v - v.mean() for v in values])


def repeat_agreement(pool: Pool) -> tuple[float, int]:
    """How often two scores order two texts alike that were both scored twice; and how many."""
    margins, others = [], []
    for prompt in pool.prompts:
        twice = np.flatnonzero(np.isfinite(prompt.second))
        for i, j in combinations(twice, 2):
            margins.append(prompt.score[i] - prompt.score[j])
            others.append(prompt.second[i] - prompt.second[j])
    differ = np.array(margins) != 0  # a tie is no label that could be right or wrong
    return agreement(np.array(margins)[differ], np.array(others)[differ]), int(differ.sum())
