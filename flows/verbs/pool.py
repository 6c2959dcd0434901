"""`pool`: which prompts of a large file deserve labels, in one command."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from flows.console import ConsoleObserver
from flows.prompts import POOL_SHARD, deserving
from flows.verbs.options import Output, Seed, Whole
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.export.rows import require_ending, require_room_for, write_rows
from prefopt_core.ground.errors import ConfigError
from prefopt_core.inputs.settings import PromptsConfig, StratifiedConfig
from prefopt_core.inputs.vectors import VectorFile
from prefopt_core.pool.lists import open_index
from prefopt_core.pool.points import require_count
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.pool.summary import summary
from prefopt_core.pool.table import chosen_prompts, chosen_rows
from prefopt_core.store.artifacts import Artifact, Folder
from tasks.inputs import load_prompts
from tasks.pool import choose_rows, index_file
from tasks.stage import Session, current_store, session

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
    require_ending(output)
    if output.resolve() == file.resolve():
        raise ConfigError(f"--output {output} would replace the pool. Give it another name.")
    config = PoolConfig(
        strategy=strategy,
        count=count,
        near_duplicates=None if near_duplicates == 1 else near_duplicates,
        rule=rule,
        embedding=EmbeddingConfig(embedder=embedder),
    )
    console, store = Console(), current_store()
    with ConsoleObserver(console) as observer, session(Session(observer=observer)):
        if vectors:
            known = VectorFile(file, vectors)
            choices, index = _of_vectors(known, strata, config, seed, output)
            rows = chosen_rows(store.read(choices), known.others())
        else:
            prompts = _read(file, column, strata, seed)
            choices, index = deserving(prompts, config, seed)
            rows = chosen_prompts(store.read(choices), store.scan(prompts))
    write_rows(rows, output)
    points = open_index(store.open_folder(index))
    what = "rows" if vectors else "distinct prompts"
    lines = [f"{len(rows):,} of {len(points):,} {what} in {output}", ""]
    lines += summary(points, store.read(choices).sort("rank"), seed)
    # no markup: a stratum may be called [b]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _read(file: Path, column: str | None, strata: str | None, seed: int) -> Artifact:
    params = {
        "path": str(file),
        "column": column,
        "stratum": strata,
        "repeats": "drop",  # among so many, some are the same
    }
    return load_prompts(PromptsConfig(params=params, shard_size=POOL_SHARD), seed)


def _of_vectors(
    known: VectorFile, strata: str | None, config: PoolConfig, seed: int, output: Path
) -> tuple[Artifact, Folder]:
    require_count(config.count, known.rows)  # what is wrong is told before the work, not after
    if strata:
        known.texts(strata)
    require_room_for(known.others().collect_schema(), known.path, output)
    file = StratifiedConfig(path=str(known.path), column=known.column, strata=strata)
    index = index_file(file.vectors, seed)
    return choose_rows(file, index, config, seed), index
