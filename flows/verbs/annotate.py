"""The verb `annotate`: people label in a browser what a run, or a file, asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

import flows.desk
from flows.desk.addresses import PORT, announced, told
from flows.desk.server import Page, serve
from flows.desk.watching import watched
from flows.lookup import commands_of
from flows.server import go_on, show_progress
from flows.terminal import say
from flows.verbs.options import Output, Whole
from prefopt_core.annotation.asking import Form
from prefopt_core.annotation.given import labels_of_people, people_asked
from prefopt_core.export.rows import preference_rows, require_output, write_rows
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import (
    AwaitingLabelsError,
    ConfigError,
    DataError,
    in_words_of,
)
from prefopt_core.inputs.files import READERS
from prefopt_core.inputs.layouts import describe_candidates
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.batch import Batch, meant, name_account, open_batches
from prefopt_core.labels.desk import Desk
from prefopt_core.labels.standing import Progress
from prefopt_core.labels.store import LabelStore
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.pairing.table import pair_responses
from prefopt_core.reports.labels import batch_in_words
from tasks.generation import generate_candidates
from tasks.inputs import load_prompts
from tasks.session import current_store

_GUIDELINES = Path(flows.desk.__file__).parent / "guidelines.md"


def annotate(
    batch: Annotated[
        str | None,
        Parameter(
            help="id, number or name of what is open; or .csv, .json, .jsonl, .parquet to ask of",
            show_default="what is open",
        ),
    ] = None,
    /,
    *,
    port: Annotated[Whole, Parameter(help="where to serve the page")] = PORT,
    host: Annotated[
        str, Parameter(help="0.0.0.0 opens it to other machines, by a token")
    ] = "127.0.0.1",
    guidelines: Annotated[
        Path | None, Parameter(help="Markdown that stands beside", show_default="a short text")
    ] = None,
    scale: Annotated[Whole, Parameter(help="single responses are scored 1 to this")] = 5,
    ask: Annotated[Form, Parameter(help="about the responses of a file")] = "compare",
    empty: Annotated[
        Literal["error", "drop", "keep"], Parameter(help="what to do with empty ones of a file")
    ] = "error",
    output: Output = None,
    open: Annotated[bool, Parameter(help="open the page in a browser")] = False,
) -> None:
    """Serve the page until Ctrl-C; for a file, until its last label, then write `output`."""
    page = Page(host, port, _read(guidelines or _GUIDELINES), scale, open)
    kept = LabelStore.of(current_store())
    if batch is not None and batch.endswith(tuple(READERS)):
        with in_words_of({"generation.params.empty": "--empty"}):
            return _label_file(Path(batch), ask, empty, output, kept, page)
    if output:
        raise ConfigError("--output is for a file of candidates. Name one, or leave it out.")
    _serve(kept, _chosen(open_batches(kept), batch), page)
    return None


def _serve(kept: LabelStore, batch: Batch, page: Page, *, stop: bool = False) -> bool:
    """Serve a batch and say how far it is; returns whether it is complete.

    Args:
        kept: The label store.
        batch: What is asked.
        page: How it is served.
        stop: Whether to stop serving with the last label.
    """
    desk, store = Desk(kept, batch), current_store()

    def show(progress: Progress) -> None:
        show_progress(store, batch, progress)

    @contextmanager
    def tell(address: str) -> Iterator[None]:
        say(address, batch_in_words(batch, desk.progress()), "(stop with Ctrl-C)")
        with announced(store, batch, address), watched(desk, show):
            yield

    def done() -> bool:
        if not stop:
            commands = commands_of([batch.name])
            alone = "by itself if it is deployed, else when it is started again."
            say(
                f"All labels are given. The run goes on {'with' if commands else alone}",
                *commands,
                "What it asks next appears on the page.",
            )
        show(desk.progress())
        say(*go_on(store).splitlines())
        return stop

    complete = serve(desk, page, tell, done)
    if not complete:
        progress = desk.progress()
        say(
            f"\n{progress.given} of {progress.wanted} labels are given and kept; the same command "
            "goes on from here."
        )
    return complete


def _label_file(
    file: Path, ask: Form, empty: str, output: Path | None, kept: LabelStore, page: Page
) -> None:
    """Ask about the responses of a file, and write the pairs that the labels make."""
    output = output or Path(f"{file.stem}.preferences.jsonl")
    require_output(output, file)
    account, asked = f"file {file.resolve()}", _responses_in(file, empty)
    try:
        verdicts = labels_of_people(asked, ask, account, kept)
    except AwaitingLabelsError as awaited:
        if account not in awaited.accounts:  # a run has left the same questions
            raise AwaitingLabelsError(told(awaited, people_asked(ask), current_store())) from None
        name_account(kept, account, file.name)
        ours = [found for found in open_batches(kept) if found[0].account == account]
        page = replace(page, after=f"the pairs are written to {output}; the page has ended.")
        if not _serve(kept, _chosen(ours, None), page, stop=True):
            return
        verdicts = labels_of_people(asked, ask, account, kept)
    pairs = pair_responses(
        labels=verdicts,
        candidates=asked.candidates.lazy(),
        prompts=asked.prompts,
        config=PairingConfig(rule="all_pairs"),
        round_number=0,
        seed=0,
    )
    write_rows(preference_rows(pairs), output)
    say(f"{verdicts.height} labels make {pairs.height} pairs: {output}")


def _responses_in(file: Path, empty: str) -> Asked[Any]:
    """The prompts and responses of a file, all responses to be asked about."""
    say(describe_candidates(file, None, None))
    prompts = load_prompts(PromptsConfig(params={"path": str(file), "repeats": "drop"}), 0)
    config = GenerationConfig(generator="file", params={"path": str(file), "empty": empty})
    candidates = current_store().read(generate_candidates(prompts, None, config, 0))
    return Asked(candidates, candidates, current_store().read(prompts))


def _chosen(found: list[tuple[Batch, Progress]], word: str | None) -> Batch:
    """The batch that a number, or a part of its words, names; the only one if nothing is said.

    Raises:
        ConfigError: There is none, or not one alone.
    """
    if not found:
        raise ConfigError(
            "No questions are open. A run with `annotation: {annotator: people}` leaves some, and "
            "so does `prefopt annotate FILE`, of responses that you have."
        )
    batches = [batch for batch, _ in found]
    named = batches if word is None else meant(batches, word)
    if len(named) == 1:
        return named[0]
    listed = (f"  {n}  {batch_in_words(*one)}" for n, one in enumerate(found, 1))
    said = "" if word is None else f" {word!r} names {len(named) or 'none'} of them."
    raise ConfigError(
        "\n".join(
            [f"Name what to label, as `prefopt annotate {batches[0].id}`.{said} Open are:", *listed]
        )
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"--guidelines {file} cannot be read: {error}. Give a Markdown file in UTF-8."
        ) from error
