"""Every registry, under its name in `prefopt list` and in the reference of settings."""

from typing import Any

from prefopt_core.annotation import ANNOTATORS, GOLD_FUNCTIONS
from prefopt_core.embedding import EMBEDDERS
from prefopt_core.evaluation import EVALUATORS
from prefopt_core.generation import GENERATORS
from prefopt_core.ground.registry import Registry
from prefopt_core.inputs import PROMPT_SOURCES
from prefopt_core.lint import LINTS
from prefopt_core.models.start import POLICIES
from prefopt_core.pairing import PAIRINGS
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.scoring import SCORERS
from prefopt_core.selection import STRATEGIES
from prefopt_core.selection.similarity import SIMILARITIES
from prefopt_core.training import LOSSES

FAMILIES: dict[str, Registry[Any]] = {
    "annotators": ANNOTATORS,
    "embedders": EMBEDDERS,
    "evaluators": EVALUATORS,
    "functions": GOLD_FUNCTIONS,
    "generators": GENERATORS,
    "lints": LINTS,
    "losses": LOSSES,
    "pairings": PAIRINGS,
    "policies": POLICIES,
    "pool-strategies": POOL_STRATEGIES,
    "prompts": PROMPT_SOURCES,
    "scorers": SCORERS,
    "similarities": SIMILARITIES,
    "strategies": STRATEGIES,
}
