"""Selection by log-probability: the policy's likeliest response against its least likely.

A baseline of AEPO, arXiv:2405.13541: no embeddings, only the log-probabilities
of responses under the policy that wrote them.
"""

import numpy as np

from prefopt_core.ground.errors import ConfigError
from prefopt_core.selection.candidates import Candidates
from prefopt_core.selection.requirements import require_k


def select(candidates: Candidates, k: int, rng: np.random.Generator) -> list[int]:
    """Choose k responses spread evenly over the ranks of log-probability, both ends included.

    Log-probabilities are summed over tokens, so short responses count as likely ones.

    Raises:
        ConfigError: A response has no log-probability, or k is not within 2..N.
    """
    n = len(candidates)
    require_k(k, n)
    if candidates.logps is None:
        raise ConfigError(
            "Strategy 'perplexity' ranks responses by their log-probability, and some have none. "
            "Set `generation.generator` to one that knows them, such as 'transformers', "
            "or use a strategy that needs none, such as 'random'."
        )
    order = np.argsort(candidates.logps, kind="stable")
    ranks = np.arange(k) * (n - 1) // (k - 1)  # 0, ..., N-1: distinct because k <= N
    return sorted(order[ranks].tolist())
