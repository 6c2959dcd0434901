"""`list`: what a config can name, with the settings of each."""

from typing import Annotated, Any

from cyclopts import Parameter

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.embedding import EMBEDDERS
from prefopt_core.generation import GENERATORS
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry, did_you_mean
from prefopt_core.inputs import PROMPT_SOURCES
from prefopt_core.models.start import POLICIES
from prefopt_core.pairing import PAIRINGS
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.scoring import SCORERS
from prefopt_core.selection import STRATEGIES
from prefopt_core.selection.similarity import SIMILARITIES
from prefopt_core.training import LOSSES

KINDS: dict[str, Registry[Any]] = {
    "annotators": ANNOTATORS,
    "embedders": EMBEDDERS,
    "generators": GENERATORS,
    "losses": LOSSES,
    "pairings": PAIRINGS,
    "policies": POLICIES,
    "pool-strategies": POOL_STRATEGIES,
    "prompts": PROMPT_SOURCES,
    "scorers": SCORERS,
    "similarities": SIMILARITIES,
    "strategies": STRATEGIES,
}


def list_names(
    kind: Annotated[
        str | None, Parameter(help="strategies, annotators, …; all kinds if left out")
    ] = None,
    /,
) -> None:
    """Print one kind, or all."""
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"There is no kind {kind!r}.{did_you_mean(kind, KINDS)}")
    for name in [kind] if kind else KINDS:
        print(f"{name}:")
        for member in sorted(KINDS[name]):
            print(f"  {member:<22} {KINDS[name].summary(member)}")
            for setting, (_, default) in KINDS[name].settings(member).items():
                value = "required" if default is ... else f"default {default!r}"
                print(f"  {'':<22}   {setting}: {value}")
