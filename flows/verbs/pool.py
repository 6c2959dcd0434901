"""`pool`: which prompts of a large file deserve labels, in one command."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from cyclopts import Parameter
from rich.console import Console

from flows.console import ConsoleObserver
from flows.pool import SHARD_SIZE, deserving
from flows.verbs.options import Output, Seed, Whole
from flows.verbs.select import WRITERS, require_writer, write
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.randomness import rng_for
from prefopt_core.inputs.settings import PromptsConfig, VectorsConfig
from prefopt_core.inputs.vectors import VectorFile
from prefopt_core.pool.coverage import Coverage, coverage
from prefopt_core.pool.lists import open_index
from prefopt_core.pool.points import Pool, PositionArray, require_count
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.store.artifacts import Artifact, Model
from prefopt_core.store.store import Store
from tasks.inputs import load_prompts
from tasks.pool import choose_rows, index_file
from tasks.stage import Session, session

MEASURED = 100_000  # rows of the pool that coverage is measured on, at most
SHOWN = 20  # strata that are told apart in print, at most

File = Annotated[
    Path, Parameter(help=".csv, .jsonl or .parquet of prompts; of --vectors, .parquet")
]
Count = Annotated[Whole, Parameter(help="how many to choose")]
Strategy = Annotated[str, Parameter(help="see `prefopt list pool-strategies`")]
Embedder = Annotated[str, Parameter(help="see `prefopt list embedders`")]
Column = Annotated[
    str | None, Parameter(help="the column with prompts", show_default="prompt or instruction")
]
Vectors = Annotated[
    str | None, Parameter(help="a column of embeddings; else embed", metavar="COLUMN")
]
Strata = Annotated[
    str | None, Parameter(help="a column; every value gets its share", metavar="COLUMN")
]
Rule = Annotated[str, Parameter(help="shares: proportional, square_root or equal")]
Cosine = Annotated[
    float,
    Parameter(
        help="from which one prompt stands for another of its stratum; 1: none", metavar="COSINE"
    ),
]


def pool(
    file: File,
    /,
    *,
    count: Count,
    strategy: Strategy = "facility_location",
    column: Column = None,
    vectors: Vectors = None,
    strata: Strata = None,
    rule: Rule = "proportional",
    near_duplicates: Cosine = 0.95,
    embedder: Embedder = "sentence-transformers",
    seed: Seed = 0,
    output: Output = None,
) -> None:
    """Embed prompts or read embeddings, choose, write the chosen rows and what they cover."""
    output = output or Path(f"{file.stem}.chosen.csv")
    require_writer(output)
    if output.resolve() == file.resolve():
        raise ConfigError(f"--output {output} would replace the pool. Give it another name.")
    config = PoolConfig(
        strategy=strategy,
        count=count,
        near_duplicates=None if near_duplicates == 1 else near_duplicates,
        rule=rule,
        embedding=EmbeddingConfig(embedder=embedder),
    )
    console, store = Console(), Store.open()
    with ConsoleObserver(console) as observer, session(Session(observer=observer)):
        choices, index, table = (
            _of_vectors(file, vectors, strata, config, seed, output)
            if vectors
            else _of_prompts(file, column, strata, config, seed)
        )
    chosen = store.read(choices).sort("rank")
    rows = _rows(chosen, table) if vectors else _prompts(_rows(chosen, table))
    write(output, lambda path: WRITERS[output.suffix](_flat(rows, output), path))
    points = open_index(store.open_model(index))
    what = "rows" if vectors else "distinct prompts"
    lines = [f"{len(rows):,} of {len(points):,} {what} in {output}", ""]
    lines += [*_figures(points, chosen, seed), *_proofs(chosen)]
    # no markup: a stratum may be called [b]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _of_prompts(
    file: Path, column: str | None, strata: str | None, config: PoolConfig, seed: int
) -> tuple[Artifact, Model, pl.LazyFrame]:
    params = {
        "path": str(file),
        "column": column,
        "stratum": strata,
        "repeats": "drop",  # among so many, some are the same
    }
    prompts = load_prompts(PromptsConfig(params=params, shard_size=SHARD_SIZE), seed)
    choices, index = deserving(prompts, config, seed)
    return choices, index, Store.open().scan(prompts)


def _of_vectors(
    path: Path, column: str, strata: str | None, config: PoolConfig, seed: int, output: Path
) -> tuple[Artifact, Model, pl.LazyFrame]:
    vectors = VectorFile(path, column)
    require_count(config.count, vectors.rows)  # what is wrong is told before the work, not after
    if strata:
        vectors.labels(strata)
    others = pl.scan_parquet(path, glob=False).drop(column)
    binary = [name for name, kind in others.collect_schema().items() if kind == pl.Binary]
    if binary and output.suffix != ".parquet":
        raise ConfigError(
            f"--output {output} cannot hold {binary[0]!r} of {path}, which is binary. Write a "
            ".parquet."
        )
    file = VectorsConfig(path=str(path), column=column, strata=strata)
    index = index_file(file, seed)
    return choose_rows(file, index, config, seed), index, others


def _rows(chosen: pl.DataFrame, table: pl.LazyFrame) -> pl.DataFrame:
    """The chosen rows of a table, with their ranks, the first one first."""
    numbers = chosen.select("rank", "row", "weight")
    names = table.collect_schema().names()
    taken = {name: f"{name}_of_file" for name in numbers.columns if name in names}
    numbered = table.rename(taken).with_row_index("row").cast({"row": pl.Int64})
    wanted = numbered.filter(pl.col("row").is_in(chosen["row"].implode()))
    rows = wanted.collect(engine="streaming")  # a pool may have more rows than memory holds
    return numbers.join(rows, "row", maintain_order="left")


def _prompts(rows: pl.DataFrame) -> pl.DataFrame:
    """As a file of prompts: texts, or messages if there is more to one than what is asked."""
    if (rows["prompt"].list.len() == 1).all():
        rows = rows.with_columns(prompt=pl.col("prompt").list.last().struct.field("content"))
    names = ("rank", "weight", "stratum", "prompt", "prompt_id")
    # no `row`: repeats are left out, so that the numbers are not those of the file
    return rows.select(name for name in names if name in rows.columns)


def _flat(rows: pl.DataFrame, output: Path) -> pl.DataFrame:
    """In a CSV, lists and the like are written as JSON."""
    nested = [name for name, kind in rows.schema.items() if kind.is_nested()]
    if output.suffix != ".csv" or not nested:
        return rows
    return rows.with_columns(
        pl.Series(name, map(_json, rows[name].to_list()), pl.String) for name in nested
    )


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _figures(pool: Pool, chosen: pl.DataFrame, seed: int) -> list[str]:
    """What the choice covers, beside as many rows at random."""
    rng = rng_for(seed, "pool", "measure")
    seen = rng.choice(len(pool), size=min(len(pool), MEASURED), replace=False)
    at_random = rng.choice(len(pool), size=chosen.height, replace=False)
    ours, theirs = (_coverage(pool, rows, seen) for rows in (chosen["row"].to_numpy(), at_random))
    lines = [f"{'':<22}{'chosen':>10}{'at random':>11}"]
    for title, name, form in (
        ("mean best cosine", "value", ".3f"),
        ("worst 1 - cosine", "radius", ".3f"),
        ("mean cosine of pairs", "mean_similarity", ".3f"),
        ("pairs of .95 or more", "near_duplicates", ","),
    ):
        a, b = getattr(ours, name), getattr(theirs, name)
        lines.append(f"{title:<22}{a:>10{form}}{b:>11{form}}")
    if len(seen) < len(pool):
        lines.append(f"The first two are measured on {len(seen):,} rows drawn at random.")
    return lines


def _coverage(pool: Pool, rows: PositionArray, seen: PositionArray) -> Coverage:
    """Measured on the rows `seen`, and on the chosen ones themselves."""
    together = np.concatenate([rows, np.setdiff1d(seen, rows)])
    return coverage(pool.subset(together), np.arange(len(rows)))


def _proofs(chosen: pl.DataFrame) -> list[str]:
    """What is proven of the choice; of strata, also what each got, the largest share first."""
    strata = chosen.group_by("stratum", "certificate", maintain_order=True).len()
    rows = strata.sort("len", descending=True, maintain_order=True).rows()
    if rows[0][0] == "":  # no strata
        return ["", rows[0][1]] if rows[0][1] else []
    width = max(22, *(len(name) + 1 for name, _, _ in rows[:SHOWN]))
    lines = ["", f"{'stratum':<{width}}{'chosen':>10}"]
    lines += [f"{name:<{width}}{n:>10,}  {proof}".rstrip() for name, proof, n in rows[:SHOWN]]
    left = len(rows) - SHOWN
    return lines + ([f"… and {left:,} smaller ones"] if left > 0 else [])
