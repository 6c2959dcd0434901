"""The verb `pool`: choose which prompts of a large file to label."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.console import ConsoleObserver
from flows.prompts import POOL_SHARD, choose_from_pool
from flows.terminal import Terminal, say
from flows.verbs.options import Output, Seed, Whole, as_typed
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.export.rows import require_output, require_room_for, write_rows
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
from tasks.session import Session, current_store, session

PoolFile = Annotated[
    Path, Parameter(help=".csv, .jsonl or .parquet of prompts; of --vectors, .parquet")
]
CountOption = Annotated[Whole, Parameter(help="how many to choose")]
StrategyOption = Annotated[str, Parameter(help="see `prefopt list pool-strategies`")]
EmbedderOption = Annotated[str, Parameter(help="see `prefopt list embedders`")]
ColumnOption = Annotated[
    str | None, Parameter(help="the column with prompts", show_default="prompt or instruction")
]
VectorsOption = Annotated[
    str | None, Parameter(help="a column of embeddings; else embed", metavar="COLUMN")
]
StrataOption = Annotated[
    str | None, Parameter(help="a column; every value gets its share", metavar="COLUMN")
]
RuleOption = Annotated[str, Parameter(help="shares: proportional, square_root or equal")]
CosineOption = Annotated[
    float,
    Parameter(
        help="from which one prompt stands for another of its stratum; 1: none", metavar="COSINE"
    ),
]

_FLAGS = {
    "pool.count": "--count",
    "pool.strategy": "--strategy",
    "pool.rule": "--rule",
    "pool.near_duplicates": "--near-duplicates",
    "pool.embedding.embedder": "--embedder",
    "embedding.embedder": "--embedder",
    "column": "--column",
    "stratum": "--strata",
    "strata": "--strata",
}
"""Settings in messages → what is typed here."""


def pool(
    file: PoolFile,
    /,
    *,
    count: CountOption,
    strategy: StrategyOption = "facility_location",
    column: ColumnOption = None,
    vectors: VectorsOption = None,
    strata: StrataOption = None,
    rule: RuleOption = "proportional",
    near_duplicates: CosineOption = 0.95,
    embedder: EmbedderOption = "sentence-transformers",
    seed: Seed = 0,
    output: Output = None,
) -> None:
    """Embed prompts or read embeddings, choose rows, write them, print a summary of coverage.

    Raises:
        ConfigError: The output would replace the pool, or there are too few rows.
    """
    output = output or Path(f"{file.stem}.chosen.csv")
    require_output(output, file)
    with as_typed(_FLAGS):
        config = PoolConfig(
            strategy=strategy,
            count=count,
            near_duplicates=None if near_duplicates == 1 else near_duplicates,
            rule=rule,
            embedding=EmbeddingConfig(embedder=embedder),
        )
    store, observer = current_store(), ConsoleObserver(Terminal())
    with as_typed(_FLAGS), observer, session(Session(observer=observer)):
        if vectors:
            known = VectorFile(file, vectors)
            choices, index = _of_vectors(known, strata, config, seed, output)
            rows = chosen_rows(store.read(choices), known.others())
        else:
            prompts = _read(file, column, strata, seed)
            choices, index = choose_from_pool(prompts, config, seed)
            rows = chosen_prompts(store.read(choices), store.scan(prompts))
    write_rows(rows, output)
    points = open_index(store.open_folder(index))
    what = "rows" if vectors else "distinct prompts"
    say(f"{len(rows):,} of {len(points):,} {what} in {output}", "")
    say(*summary(points, store.read(choices).sort("rank"), seed))


def _read(file: Path, column: str | None, strata: str | None, seed: int) -> Artifact:
    params = {
        "path": str(file),
        "column": column,
        "stratum": strata,
        "repeats": "drop",  # large files usually repeat some prompts
    }
    return load_prompts(PromptsConfig(params=params, shard_size=POOL_SHARD), seed)


def _of_vectors(
    known: VectorFile, strata: str | None, config: PoolConfig, seed: int, output: Path
) -> tuple[Artifact, Folder]:
    require_count(config.count, known.rows)  # errors before the work, not after it
    if strata:
        known.texts(strata)
    require_room_for(known.others().collect_schema(), known.path, output)
    file = StratifiedConfig(path=str(known.path), column=known.column, strata=strata)
    index = index_file(file.vectors, seed)
    return choose_rows(file, index, config, seed), index
