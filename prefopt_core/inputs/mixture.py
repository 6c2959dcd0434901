"""Prompts of several files or data sets, each with its share."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import AfterValidator, PositiveInt

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, prompt_id_of
from prefopt_core.ground.marks import Sections
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.tables import TABLES
from prefopt_core.inputs.drawing import without
from prefopt_core.inputs.settings import PartConfig


def _complete(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not parts:
        raise ValueError("There are none. List at least one, such as {params: {path: FILE}}.")
    return [PartConfig.model_validate(part).model_dump() for part in parts]


Parts = Annotated[list[dict[str, Any]], Sections(PartConfig), AfterValidator(_complete)]


def from_mixture(
    seed: int,
    *,
    parts: Parts,
    count: PositiveInt | None = None,
    system: str | None = None,
) -> pl.DataFrame:
    """Mix prompts of other sources by their shares; a system message for those without one.

    Args:
        seed: Root of which prompts of a part are taken.
        parts: What is mixed, a list of {source, params} as in `prompts`, each with a `share`, 1 if
            left out, and maybe a `system` message. A prompt of two parts is the first one's.
        count: Prompts altogether; null: as many as the shares allow.
        system: The system message of prompts that bring none, of parts that name none; null: none.

    Returns:
        Table `prompts`, part after part; without strata.

    Raises:
        DataError: A part cannot be read, or has fewer prompts than its share.
    """
    mixed = [PartConfig.model_validate(part) for part in parts]
    tables: list[pl.DataFrame] = []
    for part in mixed:
        own = _with_system(part.member()(seed), part.system or system)
        tables.append(without(own, tables))
    there = [table.height for table in tables]
    shares = np.cumsum([0.0, *(part.share for part in mixed)])
    shares /= shares[-1]
    total = count or int(min(n / s for n, s in zip(there, np.diff(shares), strict=True)) + 1e-9)
    wanted = np.diff(np.round(shares * total)).astype(int).tolist()
    for number, (part, has, wants) in enumerate(zip(mixed, there, wanted, strict=True), 1):
        if has < wants and count:
            raise DataError(
                f"Part {number} of the mixture ({part.named}) has {has} prompts that no part "
                f"before it has; its share of {count} is {wants}. Lower `count` or its `share`, or "
                "leave `count` out."
            )
    return pl.concat([_drawn(table, n, seed) for table, n in zip(tables, wanted, strict=True)])


def check_from_mixture(*, parts: Parts) -> Iterator[str]:
    """See whether what each part names is there.

    Raises:
        PrefoptError: As for the sources themselves.
    """
    for number, part in enumerate(parts, 1):
        yield from (f"part {number}: {d}" for d in PartConfig.model_validate(part).check())


def _with_system(prompts: pl.DataFrame, system: str | None) -> pl.DataFrame:
    prompts = prompts.select("prompt_id", "prompt")
    if not system:
        return prompts
    first = Message(role="system", content=system)
    every: list[Sequence[Message]] = prompts["prompt"].to_list()
    told = [m if m[0]["role"] == "system" else [first, *m] for m in every]
    rows = [(prompt_id_of(messages), messages) for messages in told]
    return pl.DataFrame(rows, schema=TABLES["prompts"].columns, orient="row")


def _drawn(prompts: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """So many of the prompts, at random, in their order; which depends on their ids alone."""
    ids = prompts["prompt_id"].to_list()
    draws = [rng_for(seed, "mixture", prompt_id).random() for prompt_id in ids]
    return prompts[sorted(np.argsort(draws, kind="stable")[:count].tolist())]
