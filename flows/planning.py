"""Planning a run: by round what would run, why, for how long; what it takes altogether."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from flows.lookup import flow_of
from flows.terminal import Cell, Terminal, lasting
from prefopt_core.annotation.pricing import (
    Sample,
    asked_for_money,
    expected,
    left_of,
    of_requests,
    too_little,
)
from prefopt_core.annotation.settings import AnnotatorConfig
from prefopt_core.experiments.base import Experiment, Paid
from prefopt_core.experiments.capacity import free_at
from prefopt_core.experiments.checks import check
from prefopt_core.experiments.estimates import Estimate, asked_besides, estimates
from prefopt_core.experiments.inputs import read_as
from prefopt_core.experiments.lengths import cut_for_the_encoder, cut_off
from prefopt_core.experiments.rule_of_thumb import by_rule_of_thumb
from prefopt_core.experiments.samples import sample_of
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.labels import counted
from prefopt_core.store.store import Store
from tasks.session import Planned, Session, current_store, listing, session

_NAMED = 3
"""Stages that are named where nothing is known of them; more are counted."""

Line = tuple[Planned, Estimate | None]


def plan_run(
    flow: str, experiment: Experiment, refresh: frozenset[str], console: Terminal
) -> tuple[list[Planned], list[str]]:
    """Plan a run, and print the plan.

    Returns:
        (its stages, what is doubtful about its settings, a sentence each).

    Raises:
        PrefoptError: Something is certainly wrong.
    """
    store, kept = current_store(), LabelStore.of(current_store())
    doubts, inputs = check(experiment, kept), read_as(experiment)
    function = flow_of(flow)
    with session(Session(refresh=refresh, store=store)), listing() as stages:
        function.fn(experiment)
    lines = list(zip(stages, estimates(stages, store), strict=True))
    _print_stages(lines, store, console, f"plan of {experiment.name}")
    unknown = [planned for planned, estimate in lines if not estimate and not planned.found]
    for line in by_rule_of_thumb(stages, unknown, experiment):
        console.tell(line)
    labels = sum(planned.labels for planned in stages)
    others, sample = asked_besides(stages), Sample((), "")
    if others or isinstance(experiment, Paid):
        sample = sample_of(experiment, store, [planned.found for planned in stages])
    for line in _of_others(others, sample):
        console.tell(line)
    if isinstance(experiment, Paid):
        for line in _priced(labels, experiment, kept, sample):
            console.tell(line)
        doubts += too_little(
            labels,
            experiment.annotation,
            experiment.allowance,
            kept,
            sample,
            sum(asked_for_money(count, config, sample) for config, count in others.values()),
        )
    doubts += [*cut_off(stages, store), *cut_for_the_encoder(stages, store)]
    for line in inputs:
        console.tell(line)
    print_doubts(doubts, console)
    return stages, doubts


def _priced(labels: int, experiment: Paid, kept: LabelStore, sample: Sample) -> Iterator[str]:
    """What the labels of a plan take, and what is left of the budget; a line each."""
    annotation = experiment.annotation
    if labels and (takes := list(expected(labels, annotation, kept, sample))):
        yield f"{counted(labels, 'label')} by {_called(annotation)}: {'; '.join(takes)}."
    yield f"{left_of(experiment.allowance, kept).capitalize()}."


def _of_others(asked: Mapping[str, tuple[AnnotatorConfig, int]], sample: Sample) -> Iterator[str]:
    """What is asked of servers that is no label, a line a stage; fewer if some was asked before."""
    for stage, (config, count) in asked.items():
        if takes := list(of_requests(count, config, sample)):
            yield f"{stage}: {counted(count, 'question')} to {_called(config)}: {'; '.join(takes)}."


def _called(annotator: AnnotatorConfig) -> str:
    return " ".join([annotator.annotator, annotator.params.get("model_name", "")]).strip()


def print_doubts(doubts: Iterable[str], console: Terminal) -> None:
    """Print what is doubtful about a config, each once."""
    for doubt in dict.fromkeys(doubts):
        console.warn(doubt)


def _print_stages(lines: Sequence[Line], store: Store, console: Terminal, title: str) -> None:
    """Print the stages of a plan, what is in the store summed up, and what the others take."""
    width = max(len(planned.stage) for planned, _ in lines)
    console.tell(title)
    console.tell(f"  {'stage':<{width}}  {'labels':>7}  {'time':>7}   why")
    for name, part in _parts(lines):
        hits = sum(planned.state == "hit" for planned, _ in part)
        kept = f"{'all' if hits == len(part) else hits} of {len(part)} in the store"
        colour: Cell = (kept, "green" if hits == len(part) else "")
        console.tell(f"{name:<{width + 23}}", colour)
        for planned, estimate in part:
            if planned.state == "miss":
                labels = f"≤ {planned.labels}" if planned.labels else ""
                took = lasting(estimate.seconds) if estimate else "?"
                console.tell(
                    f"  {planned.stage:<{width}}  {labels:>7}  {took:>7}   {planned.reason}"
                )
    for line in _sums([line for line in lines if line[0].state == "miss"], len(lines), store):
        console.tell(line)


def _parts(lines: Sequence[Line]) -> Iterator[tuple[str, list[Line]]]:
    """Name and stages of each part, in the order in which they run."""
    for name, part in groupby(lines, key=lambda line: line[0].part):
        yield name, list(part)


def _sums(misses: Sequence[Line], total: int, store: Store) -> Iterator[str]:
    labels = sum(planned.labels for planned, _ in misses)
    yield (f"{len(misses)} of {total} stages would run and buy at most {counted(labels, 'label')}.")
    if not misses:
        return
    known = [estimate for _, estimate in misses if estimate]
    if not known:
        yield "Time and disk: the store has no earlier stages like these to go by."
        return
    unknown = list(dict.fromkeys(planned.stage for planned, each in misses if each is None))
    without = ", ".join(unknown) if len(unknown) <= _NAMED else f"{len(unknown)} other stages"
    but = f", and of {without} nothing is known" if unknown else ""
    _, free = free_at(store.root)
    time = lasting(sum(each.seconds for each in known))
    yield f"Time: about {time}, by earlier ones in the store{but}."
    yield f"Disk: about {sized(sum(each.bytes for each in known))}; {sized(free)} are free."


def sized(count: float) -> str:
    """A number of bytes in words.

    >>> sized(300_000), sized(5 * 2**30)
    ('1 MiB', '5.0 GiB')
    """
    mib = count / 2**20
    return f"{max(1, round(mib))} MiB" if mib < 1000 else f"{mib / 1024:,.1f} GiB"
