"""The best response against a random other one, as SPA's code offers it."""

from collections.abc import Sequence

import numpy as np


def pair(scores: Sequence[float], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pair the highest score with one drawn from those below it."""
    best = int(np.argmax(scores))
    below = [i for i, score in enumerate(scores) if score < scores[best]]
    return [(best, int(rng.choice(below)))] if below else []
