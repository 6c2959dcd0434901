"""The verb `select`: choose which responses of a file to label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.console import ConsoleObserver
from flows.steps import propose
from flows.terminal import Terminal, say
from flows.verbs.options import Output, Seed, Whole, as_typed
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.experiments.facts import day_of
from prefopt_core.experiments.together import refuse_estimates
from prefopt_core.export.rows import require_output, selected_parts, write_parts
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.files import write_whole
from prefopt_core.inputs.layouts import describe_candidates
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.reports.proposals import read_proposal
from prefopt_core.reports.render import render_html
from prefopt_core.reports.selection import selection_page
from prefopt_core.selection.settings import SelectionConfig, SimilarityConfig
from prefopt_core.store.lineage import made_at
from tasks.inputs import load_prompts
from tasks.session import Session, current_store, session

_FLAGS = {
    "selection.k": "--k",
    "selection.params.diversity_weight": "--diversity-weight",
    "selection.strategy": "--strategy",
    "selection.similarity.measure": "--similarity",
    "generation.params.empty": "--empty",
    "embedding.embedder": "--embedder",
    "generation.n": "the number of responses in the file",
    "responses": "--responses",
    "column": "--column",
}
"""Settings in messages → what is typed here."""


@dataclass(frozen=True)
class _Sections:
    """The config sections that `flows.steps.propose` needs."""

    generation: GenerationConfig
    embedding: EmbeddingConfig | None
    selection: SelectionConfig


def select(
    file: Annotated[Path, Parameter(help=".csv, .json, .jsonl or .parquet of candidates")],
    /,
    *,
    k: Annotated[Whole, Parameter(help="responses per prompt")] = 2,
    strategy: Annotated[str, Parameter(help="see `prefopt list strategies`")] = "aepo",
    similarity: Annotated[str, Parameter(help="see `prefopt list similarities`")] = "cosine",
    embedder: Annotated[str, Parameter(help="for the cosine")] = "sentence-transformers",
    column: Annotated[
        str | None, Parameter(help="the column with prompts", show_default="prompt or instruction")
    ] = None,
    responses: Annotated[
        tuple[str, ...], Parameter(help="a column with responses; * is anything", metavar="COLUMN")
    ] = (),
    diversity_weight: Annotated[
        float | None,
        Parameter(help="λ of AEPO: how much likeness counts against it", show_default="1.0"),
    ] = None,
    seed: Seed = 0,
    empty: Annotated[
        Literal["error", "drop", "keep"], Parameter(help="what to do with empty responses")
    ] = "error",
    output: Output = None,
) -> None:
    """Read candidates, embed them, select, write the selected rows and a report page."""
    output = output or Path(f"{file.stem}.selected.csv")
    require_output(output, file)
    path, declared = str(file), list(responses) or None
    params = {} if diversity_weight is None else {"diversity_weight": diversity_weight}
    with as_typed(_FLAGS):
        sections = _Sections(
            GenerationConfig(
                generator="file",
                params={"path": path, "column": column, "responses": declared, "empty": empty},
            ),
            EmbeddingConfig(embedder=embedder) if similarity == "cosine" else None,
            SelectionConfig(
                strategy=strategy,
                params=params,
                k=k,
                similarity=SimilarityConfig(measure=similarity),
            ),
        )
    observer = ConsoleObserver(Terminal())
    with as_typed(_FLAGS), observer, session(Session(observer=observer)):
        refuse_estimates(sections.selection)
        read_as = describe_candidates(file, column, declared)
        source = PromptsConfig(params={"path": path, "column": column, "repeats": "drop"})
        prompts = load_prompts(source, seed)
        proposed = propose(prompts, None, sections, seed)
        store = current_store()
        write_parts(selected_parts(store, proposed), output)
        chosen, made = read_proposal(store, proposed), made_at(store, "select", proposed.selections)
    page = output.with_suffix(".html")
    about = [("date", day_of(made)), *([("embedder", embedder)] if sections.embedding else [])]
    html = render_html(selection_page(chosen, f"{strategy}, k = {k}: {file.name}", read_as, about))
    write_whole(page, lambda path: path.write_text(html, encoding="utf-8"))
    say(
        read_as,
        f"{proposed.selections.rows} of {proposed.candidates.rows} responses to {prompts.rows} "
        f"prompts in {output}",
        f"what was selected and what was left: {page}",
    )
