"""Pool, table in, table out: write an index of embeddings, choose its rows, take their prompts."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.ground.ids import as_texts
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.tables import TABLES
from prefopt_core.ground.vectors import halves
from prefopt_core.inputs.settings import VectorsConfig
from prefopt_core.inputs.vectors import VectorFile
from prefopt_core.pool.choose import choose
from prefopt_core.pool.lists import build_index, open_index
from prefopt_core.pool.settings import PoolConfig


def index_embeddings(shards: Iterable[pl.DataFrame], rows: int, folder: Path, *, seed: int) -> Path:
    """Write an index of embedded prompts.

    Args:
        shards: Table `prompt_embeddings`, one frame at a time.
        rows: Its rows, all shards together.
        folder: An existing folder, see `build_index`.
        seed: Root of the randomness of the clustering.

    Returns:
        `folder`.
    """
    blocks = (halves(shard["vector"]) for shard in shards)
    first = next(blocks)
    rng = rng_for(seed, "pool", "index")
    build_index(chain([first], blocks), rows, first.shape[1], folder, rng=rng)
    return folder


def index_file(config: VectorsConfig, folder: Path, *, seed: int) -> Path:
    """Write an index of the vectors in a Parquet file of the user's.

    Args:
        config: The file and its column of vectors.
        folder: An existing folder, see `build_index`.
        seed: Root of the randomness of the clustering.

    Returns:
        `folder`.
    """
    file = VectorFile(Path(config.path), config.column)
    build_index(file.blocks(), file.rows, file.d, folder, rng=rng_for(seed, "pool", "index"))
    return folder


def strata_of_prompts(prompts: pl.LazyFrame) -> npt.NDArray[np.str_] | None:
    """(n,) the column `stratum` of a table `prompts`; None if it has no such column."""
    if "stratum" not in prompts.collect_schema():
        return None
    return prompts.select("stratum").collect()["stratum"].to_numpy()


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
    chosen = choose(
        pool,
        config.count,
        config.strategy,
        config.params,
        seed=seed,
        near_duplicates=config.near_duplicates,
        strata=strata,
        rule=config.rule,
    )
    names = [""] * config.count if strata is None else strata[chosen.rows].astype(str).tolist()
    return pl.DataFrame(
        {
            "row": chosen.rows,
            "rank": range(config.count),
            "weight": chosen.weights,
            "stratum": names,
            "certificate": [chosen.certificates[name] for name in names],
        },
        schema=TABLES["choices"].columns,
    )


def take_prompts(
    prompts: pl.DataFrame, choices: pl.DataFrame, first: int = 0, count: int | None = None
) -> pl.DataFrame:
    """Take the chosen prompts of some ranks.

    Args:
        prompts: Table `prompts`.
        choices: Table `choices` of its rows.
        first: The first rank.
        count: How many; None for all that follow.

    Returns:
        Table `prompts` in the order of ranks, without `stratum`: it was for choosing, and no later
        stage depends on it.
    """
    rows = choices.sort("rank")["row"].slice(first, count)
    return prompts[rows].drop("stratum", strict=False)


def chosen_rows(chosen: pl.DataFrame, table: pl.LazyFrame) -> pl.DataFrame:
    """The chosen rows of a table, in the order of ranks.

    Args:
        chosen: Table `choices`.
        table: The rows that were chosen from, in the order of the pool.

    Returns:
        Columns rank, row and weight of `chosen`, and those of `table`; where both have a name,
        that of `table` gets the suffix `_of_file`.
    """
    numbers = chosen.sort("rank").select("rank", "row", "weight")
    names = table.collect_schema().names()
    taken = {name: f"{name}_of_file" for name in numbers.columns if name in names}
    numbered = table.rename(taken).with_row_index("row").cast({"row": pl.Int64})
    wanted = numbered.filter(pl.col("row").is_in(chosen["row"].implode()))
    rows = wanted.collect(engine="streaming")  # a pool may have more rows than memory holds
    return numbers.join(rows, "row", maintain_order="left")


def chosen_prompts(chosen: pl.DataFrame, prompts: pl.LazyFrame) -> pl.DataFrame:
    """The chosen prompts with their ranks: as texts if each is one message, else as messages.

    Args:
        chosen: Table `choices`.
        prompts: Table `prompts` that was chosen from.

    Returns:
        Columns rank, weight, stratum (if `prompts` has it), prompt and prompt_id.
    """
    rows = as_texts(chosen_rows(chosen, prompts), "prompt")
    names = ("rank", "weight", "stratum", "prompt", "prompt_id")
    # without `row`: repeated prompts were dropped on reading, so it is no line of the file
    return rows.select(name for name in names if name in rows.columns)
