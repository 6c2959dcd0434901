"""The verbs `labels ls`, `show`, `export`, `import`, `name` and `rm`."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.lookup import commands_of
from flows.server import go_on, show_progress
from flows.terminal import say
from flows.verbs.options import Whole
from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.exchange.files import format_of, format_to_write
from prefopt_core.exchange.taking import Taken, Terms, take
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.foreign import visible
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.labels.batch import accounts_called, in_words, open_batches, progress_of
from prefopt_core.labels.holdings import give_name, holdings
from prefopt_core.labels.kept import Which, forget, questions_open, verdicts_kept
from prefopt_core.labels.people import person_named
from prefopt_core.labels.questions import STATES
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.labels import batch_in_lines, counted, entry_in_lines, holding_in_lines
from prefopt_core.store.runs import runs
from tasks.session import current_store

Whose = Annotated[
    str | None, Parameter(help="the id that `labels ls` shows, an annotator, or a name")
]
By = Annotated[str | None, Parameter(help="of one person or model")]
InState = Annotated[str | None, Parameter(help=", ".join(STATES))]
Format = Annotated[str | None, Parameter(help="see docs/guides/exchange-labels.md")]

_FOR_PEOPLE = ("csv", "html", "label-studio", "argilla")
"""Formats that can ask a question; the others hold verdicts only."""


def ls(whose: Whose = None, /) -> None:
    """Print who gave how many labels, of which kind, when, from whose budget, and what they cost.

    Raises:
        DataError: There are none of that name.
    """
    found = holdings(_kept(), whose)
    called = _accounts_called()
    for holding in found:
        say(*holding_in_lines(holding, called))
    for batch in open_batches(_kept()) if whose is None else ():
        say(*batch_in_lines(*batch))
    if not found:
        say(f"There are no labels in {_kept().root}.")


def show(
    whose: Whose = None,
    /,
    *,
    by: By = None,
    state: InState = None,
    open: Annotated[bool, Parameter(help="questions that wait for people")] = False,
    rows: Annotated[Whole, Parameter(help="how many, the newest last")] = 10,
    lines: Annotated[Whole, Parameter(help="of each text, at most")] = 6,
) -> None:
    """Print labels with their texts.

    Raises:
        DataError: There are none of that name.
    """
    which = _which(whose, by, state)
    if open:
        entries = questions_open(_kept(), which)
        shown = entries[: max(0, rows)]
    else:
        entries = verdicts_kept(_kept(), which)
        shown = entries[max(0, len(entries) - rows) :]
    for entry in shown:
        say(*entry_in_lines(entry, lines))
    say(f"{len(shown)} of {len(entries)} {'open questions' if open else 'labels'}")


def export(
    file: Annotated[Path, Parameter(help="to write; .csv and .html say their format")],
    whose: Annotated[
        str | None, Parameter(help="as for `labels ls`; or open questions, by their id or name")
    ] = None,
    /,
    *,
    format: Format = None,
    verdicts: Annotated[bool, Parameter(help="kept verdicts, not open questions")] = False,
    guide: Annotated[
        Path | None, Parameter(help="text that stands on a .html: what people are to look at")
    ] = None,
    by: By = None,
    state: InState = None,
) -> None:
    """Write questions that wait for people, or the verdicts that are kept, for other tools.

    Raises:
        ConfigError: There is no such format.
        DataError: There is nothing to write.
    """
    named = format_to_write(file, format)
    settings = WRITERS.complete_params(named, {"guide": guide} if guide else {})
    write, which = WRITERS.bind(named, settings), _which(whose, by, state)
    kept_ones = verdicts or by is not None or state is not None or named not in _FOR_PEOPLE
    entries = (verdicts_kept if kept_ones else questions_open)(_kept(), which)
    known = [entry for entry in entries if entry.question]
    if not known:
        raise DataError(
            "There are no verdicts to write. `prefopt labels ls` shows what there is."
            if kept_ones
            else "No question waits for people. A run with `annotation: {annotator: people}` asks; "
            "`--verdicts` writes the labels that there are."
        )
    lost = list(write(known, file))
    if others := len(entries) - len(known):
        lost.append(f"{others} labels of an earlier prefopt are left out: it kept no texts.")
    what = counted(len(known), "verdict" if kept_ones else "open question")
    say(f"{what} to {file}, as {named}.", *lost)
    if not kept_ones:
        say(*_what_next(file, named, whose))


def import_(
    file: Annotated[Path, Parameter(help="with verdicts")],
    /,
    *,
    format: Format = None,
    by: Annotated[str | None, Parameter(help="who gave verdicts that do not say it")] = None,
    only_open: Annotated[
        bool, Parameter(help="leave out what enough people have answered")
    ] = False,
    elsewhere: Annotated[
        bool, Parameter(help="take labels on what this store did not ask")
    ] = False,
    name: Annotated[
        str | None, Parameter(help="keep them as labels of people of this name")
    ] = None,
    guidelines: Annotated[str, Parameter(help="that they followed, for --name")] = "1",
) -> None:
    """Take verdicts from a file: all of them, or none and a line for each that is wrong.

    Raises:
        DataError: A row cannot be taken.
    """
    read = READERS[format or format_of(file)]
    people = name and identity(
        AnnotationConfig(annotator="people", name=name, guidelines=guidelines)
    )
    terms = Terms(people or None, by or "", elsewhere or bool(people), only_open)
    open_before = dict(open_batches(_kept()))
    taken = take(_kept(), read(file), terms)
    say("; ".join(_taken_in_words(taken)) + ".")
    for new, known in sorted(taken.alike):
        say(f"! {new!r} and {known!r} are kept as two people. Write one name if they are one.")
    if taken.paid:
        still_open = dict(open_batches(_kept()))
        awaited = sum(progress.left for progress in still_open.values())
        say(
            f"{awaited} more are awaited: `prefopt labels show --open`."
            if awaited
            else "No more are awaited: the run's own command goes on from here."
        )
        say(*commands_of({batch.name for batch in open_before.keys() - still_open.keys()}))
        for batch in open_before:
            show_progress(current_store(), batch, progress_of(_kept(), batch))
        if open_before.keys() - still_open.keys():
            say(*go_on(current_store()).splitlines())
    elif name:
        say(f"Runs with `annotation: {{annotator: people, name: {name}}}` find them.")


def name(
    whose: Annotated[str, Parameter(help="the id that `labels ls` shows")],
    name: Annotated[str, Parameter(help="as `annotation.name` will say it")],
    /,
    *,
    yes: Annotated[bool, Parameter(help="do it, and not only say what would be named")] = False,
) -> None:
    """Name an annotator: its labels count for whoever has the name; without --yes, say which.

    Raises:
        DataError: There are none of that id, or of several annotators.
    """
    found = holdings(_kept(), whose)
    if len(found) > 1:
        ids = ", ".join(holding.id for holding in found)
        raise DataError(f"{whose!r} may be any of {ids}. Name one of them by its id.")
    if not yes:
        say(*holding_in_lines(found[0], _accounts_called()))
        say(
            f"These would be labels of {name!r}, and no longer of who gave them unnamed. Add --yes "
            "to do it."
        )
        return
    number = give_name(_kept(), found[0], name)
    labels = counted(number, "label")
    say(f"{labels} of {name!r} from now on: `annotation.name={name}` finds them.")


def rm(
    whose: Annotated[str, Parameter(help="the id that `labels ls` shows, an annotator, or a name")],
    /,
    *,
    by: By = None,
    state: InState = None,
    yes: Annotated[bool, Parameter(help="delete, and not only say what would be")] = False,
) -> None:
    """Delete labels for good; without --yes, say which these would be.

    Raises:
        DataError: There are none of that name.
    """
    which, kept = _which(whose, by, state), _kept()
    meant = [entry.verdict for entry in verdicts_kept(kept, which) if entry.verdict]
    cost = sum(verdict.usage.cost or 0.0 for verdict in meant)
    for holding in holdings(kept, whose):
        say(*holding_in_lines(holding, _accounts_called()))
    paid = f" that had cost {cost:,.4g}" if cost else ""
    if yes:
        deleted = counted(forget(kept, which), "label")
        say(f"{deleted}{paid} deleted; what was spent on them stays spent.")
    else:
        say(
            f"{counted(len(meant), 'label')}{paid} would be deleted, and bought again by a run "
            "that needs them (with `--refresh annotate` if it has used them). Add --yes to do it; "
            "`prefopt labels export FILE --verdicts` keeps a copy."
        )


def _kept() -> LabelStore:
    return LabelStore.of(current_store())


def _accounts_called() -> dict[str, str]:
    """Account → the file or runs that it pays for."""
    runs_of: dict[str, list[str]] = {}
    for run in runs(current_store()):
        if run.account.startswith("run "):  # others have names that users gave them
            runs_of.setdefault(run.account, []).append(run.name)
    named = {account: f"run {' and '.join(names)}" for account, names in runs_of.items()}
    return accounts_called(_kept()) | named


def _what_next(file: Path, format: str, whose: str | None) -> Iterator[str]:
    """Whose questions a file holds, if there are several batches, and how answers come back."""
    batches = [batch for batch, _ in open_batches(_kept())]
    if whose is None and len(batches) > 1:
        yield f"They are of {len(batches)} batches; an id behind FILE writes one of them alone:"
        yield from (visible(f"  {in_words(batch)}") for batch in batches)
    if format == "csv":  # the same file comes back
        yield f"When it is filled in: {shlex.join(['prefopt', 'labels', 'import', str(file)])}"
    else:
        yield "The file that comes back: prefopt labels import FILE"


def _which(whose: str | None, by: str | None, state: str | None) -> Which:
    if state is not None and state not in STATES:
        raise ConfigError(f"There is no state {state!r}.{did_you_mean(state, STATES)}")
    return Which(whose, by and person_named(by), state)


def _taken_in_words(taken: Taken) -> list[str]:
    words = [f"{counted(taken.labels, 'label')} taken"]
    if taken.paid:
        words.append(f"{taken.paid} of them in the budgets of the runs that asked")
    if taken.known:
        words.append(f"{taken.known} there already")
    if taken.surplus:
        words.append(f"{taken.surplus} left out, as enough people had answered")
    if taken.blank:
        words.append(f"{counted(taken.blank, 'row')} without a verdict yet")
    return words
