"""West-of-N: annotate all N responses, learn from the best against the worst.

Pace et al., "West-of-N: Synthetic Preferences for Self-Improving Reward Models",
arXiv:2401.12086. A baseline of AEPO, arXiv:2405.13541: at a fixed number of labels it covers k/N
as many prompts.
"""

import numpy as np

from prefopt_core.selection.candidates import Candidates


def select(candidates: Candidates, k: int, rng: np.random.Generator) -> list[int]:
    """Choose all N responses, whatever k is."""
    return list(range(len(candidates)))
