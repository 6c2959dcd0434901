"""Selection strategies: which responses are worth paying to annotate.

To add one, write `prefopt_core/selection/<name>.py` with a function of the `Strategy` type and
add its line to `STRATEGIES`. Nothing else changes.
"""

from prefopt_core.ground.registry import Registry
from prefopt_core.selection.candidates import Candidates, Strategy

STRATEGIES: Registry[Strategy] = Registry(
    "selection strategy",
    {
        "aepo": "prefopt_core.selection.aepo:select",
        "bald": "prefopt_core.selection.bald:select",
        "coreset": "prefopt_core.selection.coreset:select",
        "delta_quantile": "prefopt_core.selection.delta_quantile:select",
        "delta_ucb": "prefopt_core.selection.delta_ucb:select",
        "diverse": "prefopt_core.selection.diverse:select",
        "drts": "prefopt_core.selection.drts:select",
        "dts": "prefopt_core.selection.dts:select",
        "entropy": "prefopt_core.selection.entropy:select",
        "info_gain": "prefopt_core.selection.info_gain:select",
        "info_max": "prefopt_core.selection.info_max:select",
        "k_medoids": "prefopt_core.selection.k_medoids:select",
        "margin": "prefopt_core.selection.margin:select",
        "margin_std": "prefopt_core.selection.margin_std:select",
        "max_min_lcb": "prefopt_core.selection.max_min_lcb:select",
        "perplexity": "prefopt_core.selection.perplexity:select",
        "random": "prefopt_core.selection.uniform:select",
        "representative": "prefopt_core.selection.representative:select",
        "sea": "prefopt_core.selection.sea:select",
        "small_margin": "prefopt_core.selection.margin:smallest",
        "vote_entropy": "prefopt_core.selection.vote_entropy:select",
        "west_of_n": "prefopt_core.selection.west_of_n:select",
    },
    "prefopt.strategies",
)

__all__ = ["STRATEGIES", "Candidates", "Strategy"]
