"""Pools, table in, table out: which rows of an index deserve a label."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.ground.tables import TABLES
from prefopt_core.pool.choose import choose
from prefopt_core.pool.lists import open_index
from prefopt_core.pool.settings import PoolConfig


def choose_rows(
    index: Path,
    strata: npt.NDArray[np.str_] | None,
    config: PoolConfig,
    *,
    seed: int,
) -> pl.DataFrame:
    """Choose `config.count` rows of an index that `build_index` wrote.

    Args:
        index: Its folder.
        strata: (n,) a label for every row, or None.
        config: The strategy, the count, and what counts as a near-duplicate.
        seed: Root of the randomness.

    Returns:
        Table `choices`, the row most worth a label first.
    """
    pool = open_index(index)
    choice = choose(
        pool,
        config.count,
        config.strategy,
        config.params,
        seed=seed,
        near_duplicates=config.near_duplicates,
        strata=strata,
        rule=config.rule,
    )
    names = [""] * config.count if strata is None else strata[choice.rows].astype(str).tolist()
    return pl.DataFrame(
        {
            "row": choice.rows,
            "rank": range(config.count),
            "weight": choice.weights,
            "stratum": names,
            "certificate": [choice.certificates[name] for name in names],
        },
        schema=TABLES["choices"].columns,
    )


def take_prompts(
    prompts: pl.DataFrame, choices: pl.DataFrame, first: int = 0, count: int | None = None
) -> pl.DataFrame:
    """Take `count` chosen prompts (None: the rest) from rank `first`, the most wanted first.

    Their strata stay behind: they were for choosing, and nothing after this depends on them.
    """
    rows = choices.sort("rank")["row"].slice(first, count)
    return prompts[rows].drop("stratum", strict=False)
