"""`pool`: which prompts of a large file deserve labels, in one command."""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

from flows.console import ConsoleObserver
from flows.verbs.select import WRITERS, require_writer, write
from prefopt_core.artifacts import Artifact, Model
from prefopt_core.config import EmbeddingConfig, PoolConfig, PromptsConfig, VectorsConfig
from prefopt_core.pool.coverage import Coverage, coverage
from prefopt_core.pool.lists import open_index
from prefopt_core.pool.points import IndexArray, Pool
from prefopt_core.randomness import rng_for
from prefopt_core.store import Store
from tasks.pool import choose_prompts, choose_rows, embed_prompts, index_file, index_prompts
from tasks.prompts import load_prompts
from tasks.stage import Session, session

_MEASURED = 100_000  # rows of the pool that coverage is measured on

SHARD_SIZE = 4096  # prompts: an embedding is little work, and a pool has many


def pool(arguments: argparse.Namespace) -> None:
    """Embed prompts or read embeddings, choose, write the chosen rows and what they cover."""
    output = arguments.output or Path(f"{arguments.file.stem}.chosen.csv")
    require_writer(output)
    apart = arguments.near_duplicates
    config = PoolConfig(
        strategy=arguments.strategy,
        count=arguments.count,
        near_duplicates=apart if apart < 1 else None,
        rule=arguments.rule,
        embedding=EmbeddingConfig(embedder=arguments.embedder),
    )
    console = Console()
    with ConsoleObserver(console) as observer, session(Session(observer=observer)):
        choices, index, table = (_of_vectors if arguments.vectors else _of_prompts)(
            arguments, config
        )
    store = Store.open()
    chosen = store.read(choices).sort("rank")
    write(output, lambda path: WRITERS[output.suffix](_rows(chosen, table), path))
    points = open_index(store.open_model(index))
    console.print(
        f"{chosen.height:,} of {len(points):,} rows in {output}\n"
        + "\n".join(_figures(points, chosen, arguments.seed)),
        highlight=False,
        soft_wrap=True,
    )


def _of_prompts(
    arguments: argparse.Namespace, config: PoolConfig
) -> tuple[Artifact, Model, pl.LazyFrame]:
    params = {"path": str(arguments.file), "stratum": arguments.strata}
    source = PromptsConfig(params=params, shard_size=SHARD_SIZE)
    prompts = load_prompts(source, arguments.seed)
    index = index_prompts(embed_prompts(prompts, config.embedding), arguments.seed)
    choices = choose_prompts(prompts, index, config, arguments.seed)
    texts = pl.col("prompt").list.last().struct.field("content")
    return choices, index, Store.open().scan(prompts).with_columns(prompt=texts)


def _of_vectors(
    arguments: argparse.Namespace, config: PoolConfig
) -> tuple[Artifact, Model, pl.LazyFrame]:
    file = VectorsConfig(
        path=str(arguments.file), column=arguments.vectors, strata=arguments.strata
    )
    index = index_file(file, arguments.seed)
    choices = choose_rows(file, index, config, arguments.seed)
    return choices, index, pl.scan_parquet(arguments.file).drop(arguments.vectors)


def _rows(chosen: pl.DataFrame, table: pl.LazyFrame) -> pl.DataFrame:
    """The chosen rows of the user's table; a certificate is told once, not on every row."""
    numbered = table.drop("stratum", strict=False).with_row_index("row").cast({"row": pl.Int64})
    wanted = numbered.filter(pl.col("row").is_in(chosen["row"].implode()))
    rows = wanted.collect(engine="streaming")  # a pool may have more rows than memory holds
    return chosen.drop("certificate").join(rows, "row", suffix="_of_file", maintain_order="left")


def _figures(pool: Pool, chosen: pl.DataFrame, seed: int) -> list[str]:
    """What the choice covers, beside as many rows at random; and what is proven of it."""
    rng = rng_for(seed, "pool", "measure")
    seen = rng.choice(len(pool), size=min(len(pool), _MEASURED), replace=False)
    at_random = rng.choice(len(pool), size=chosen.height, replace=False)
    ours, theirs = (_coverage(pool, rows, seen) for rows in (chosen["row"].to_numpy(), at_random))
    lines = ["", f"{'':<22}{'chosen':>10}{'at random':>11}"]
    for title, name, form in (
        ("mean best cosine", "value", ".3f"),
        ("worst 1 - cosine", "radius", ".3f"),
        ("mean cosine of pairs", "mean_similarity", ".3f"),
        ("pairs above .95", "near_duplicates", ","),
    ):
        a, b = getattr(ours, name), getattr(theirs, name)
        lines.append(f"{title:<22}{a:>10{form}}{b:>11{form}}")
    certificates = chosen.select("stratum", "certificate").unique(maintain_order=True)
    return lines + [
        f"{name}: {text}".removeprefix(": ") for name, text in certificates.rows() if text
    ]


def _coverage(pool: Pool, rows: IndexArray, seen: IndexArray) -> Coverage:
    """Measured on the rows `seen`, and on the chosen ones themselves."""
    together = np.concatenate([rows, np.setdiff1d(seen, rows)])
    return coverage(pool.subset(together), np.arange(len(rows)))
