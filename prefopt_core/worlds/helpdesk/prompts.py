"""Prompts of the help desk: as many distinct customers' messages as a run needs."""

from random import Random

import polars as pl
from pydantic import PositiveInt

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.randomness import seed_for
from prefopt_core.inputs.prompts import of_texts
from prefopt_core.worlds.helpdesk.grammar import draw_facts, write_prompt

MOST_PROMPTS = 1_000_000
"""A fifth of what the grammar can write; beyond it, drawing distinct prompts gets slow."""


def prompts(count: int, seed: int) -> list[str]:
    """Write `count` distinct prompts; a shorter list is the start of a longer one.

    Raises:
        ConfigError: `count` is not within 0..`MOST_PROMPTS`.

    >>> prompts(3, seed=0) == prompts(5, seed=0)[:3]
    True
    """
    if not 0 <= count <= MOST_PROMPTS:
        raise ConfigError(
            f"Cannot write {count} help desk prompts: their number must lie between 0 and "
            f"{MOST_PROMPTS}. Ask for fewer, or read prompts from a file."
        )
    rng = Random(seed_for("helpdesk", "prompts", str(seed)))
    distinct: dict[str, None] = {}  # in the order of their first appearance
    while len(distinct) < count:
        distinct[write_prompt(draw_facts(rng), rng)] = None
    return list(distinct)


def load(seed: int, *, count: PositiveInt) -> pl.DataFrame:
    """Write prompts of the embedded help-desk world.

    Args:
        seed: Root of the draws.
        count: How many distinct prompts, up to 1,000,000; a smaller count gives the start of a
            larger one's.
    """
    return of_texts(prompts(count, seed))
