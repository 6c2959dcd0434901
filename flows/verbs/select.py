"""`select`: which responses of a file are worth a label, in one command."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from cyclopts import Parameter
from rich.console import Console

from flows.console import ConsoleObserver
from flows.verbs.options import Output, Seed, Whole
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.files import explained, publish, temporary
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.reports.run import selection_report
from prefopt_core.reports.selection import Chosen
from prefopt_core.selection.settings import SelectionConfig, SimilarityConfig
from prefopt_core.store.store import Store
from tasks.embedding import embed_candidates
from tasks.generation import generate_candidates
from tasks.inputs import load_prompts
from tasks.selection import select_responses
from tasks.stage import Session, session

WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": lambda rows, path: rows.write_csv(path),
    ".jsonl": lambda rows, path: rows.write_ndjson(path),
    ".parquet": lambda rows, path: rows.write_parquet(path),
}


def select(
    file: Annotated[Path, Parameter(help=".csv, .jsonl or .parquet of candidates")],
    /,
    *,
    k: Annotated[Whole, Parameter(help="responses per prompt")] = 2,
    strategy: Annotated[str, Parameter(help="see `prefopt list strategies`")] = "aepo",
    similarity: Annotated[str, Parameter(help="see `prefopt list similarities`")] = "cosine",
    embedder: Annotated[str, Parameter(help="for the cosine")] = "sentence-transformers",
    seed: Seed = 0,
    empty: Annotated[
        Literal["error", "drop", "keep"], Parameter(help="what to do with empty responses")
    ] = "error",
    output: Output = None,
) -> None:
    """Read candidates, embed them, select, write the chosen rows and a page on the choice."""
    output = output or Path(f"{file.stem}.selected.csv")
    require_writer(output)
    path = str(file)
    given = GenerationConfig(generator="file", params={"path": path, "empty": empty})
    measure = SimilarityConfig(measure=similarity)
    selection = SelectionConfig(strategy=strategy, k=k, similarity=measure)
    embedding = EmbeddingConfig(embedder=embedder)
    console = Console()
    with ConsoleObserver(console) as observer, session(Session(observer=observer)):
        prompts = load_prompts(PromptsConfig(params={"path": path}), seed)
        candidates = generate_candidates(prompts, None, given, seed)
        compared = similarity == "cosine"
        embeddings = embed_candidates(candidates, embedding) if compared else None
        selected = select_responses(candidates, embeddings, selection, seed)
    read = Store.open().read
    vectors = read(embeddings) if embeddings else None
    chosen = Chosen(read(selected), read(candidates), vectors, read(prompts))
    rows = _readable(chosen.selections, chosen.candidates, chosen.prompts)
    page = output.with_suffix(".html")
    title = f"{selection.strategy}, k = {selection.k}: {file.name}"
    write(output, lambda path: WRITERS[output.suffix](rows, path))
    write(page, lambda path: path.write_text(selection_report(chosen, title), encoding="utf-8"))
    console.print(
        f"{rows.height} of {chosen.candidates.height} responses to {prompts.rows} prompts in "
        f"{output}\nwhat was selected and what was left: {page}",
        highlight=False,
        soft_wrap=True,
    )


def require_writer(output: Path) -> None:
    """Refuse an ending that nothing is written with."""
    if output.suffix not in WRITERS:
        raise ConfigError(f"--output {output} must end in {', '.join(WRITERS)}.")


def write(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written under another name first, so that nobody reads half of it."""
    with explained(path.parent), temporary(path.parent) as file:
        write(file)
        publish(file, path)


def _readable(
    selected: pl.DataFrame, candidates: pl.DataFrame, prompts: pl.DataFrame
) -> pl.DataFrame:
    texts = prompts.select("prompt_id", prompt=pl.col("prompt").list.last().struct.field("content"))
    distinct = candidates.unique("candidate_id", keep="first")
    return (
        selected.join(texts, "prompt_id", maintain_order="left")
        .join(distinct, "candidate_id", maintain_order="left")
        .select(
            "prompt", "response", pl.col("policy").alias("model"), "rank",
            "representativeness", "redundancy", "prompt_id", "candidate_id",
        )
    )  # fmt: skip
