"""The verb `evaluate`: who wins against a reference, by any annotator and all evaluators."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from flows.console import ConsoleObserver, print_parts
from flows.contestants import (
    Contestant,
    annotator_in,
    contestant,
    grader_of,
    is_file,
    rounds_of,
    run_meant,
)
from flows.terminal import Terminal, say
from flows.verbs.options import Output
from prefopt_core.annotation.settings import AnnotatorConfig
from prefopt_core.evaluation import EVALUATORS
from prefopt_core.evaluation.contest import evaluated
from prefopt_core.evaluation.games import games_of
from prefopt_core.export.rows import require_output, write_rows
from prefopt_core.ground.errors import ConfigError, DataError, in_words_of
from prefopt_core.labels.account import Allowance
from prefopt_core.reports.contest import contest_parts
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.runs import find_run
from prefopt_core.store.store import Store
from tasks.annotation import grade_responses
from tasks.evaluation import gather_prompts, gather_responses
from tasks.session import Session, current_store, session

_FLAGS = {"max_cost": "--max-cost"}
"""Settings in messages → what is typed here."""


def evaluate(
    *policies: Annotated[
        str,
        Parameter(
            help="runs, or .csv, .json, .jsonl, .parquet of responses; one run: all its rounds"
        ),
    ],
    against: Annotated[
        str | None,
        Parameter(help="the reference, a run or file", show_default="of one run its start policy"),
    ] = None,
    by: Annotated[
        Path | None,
        Parameter(
            help="YAML with `annotator` and `params`: who judges",
            show_default="the run's evaluation",
        ),
    ] = None,
    max_cost: Annotated[
        float | None,
        Parameter(help="money that servers may be paid for it in all", show_default="no limit"),
    ] = None,
    output: Output = None,
) -> None:
    """Compare policies by what they answered to the same prompts.

    Raises:
        ConfigError: Nobody is named to judge, or nothing to compare with.
        DataError: The policies have no prompt in common, or nobody said anything.
        OverBudgetError: The money does not pay for all; what was answered is kept.
        StoreError: There is no such run.
    """
    if output:
        require_output(output, Path(policies[0]) if policies else output.with_suffix(""))
    if max_cost is not None and not 0 <= max_cost < math.inf:
        raise ConfigError(f"--max-cost is {max_cost}: it takes 0 or more.")
    store, console = current_store(), Terminal()
    observer = ConsoleObserver(console)
    with in_words_of(_FLAGS), observer, session(Session(observer=observer)):
        named = _contestants(store, policies, against)
        judge = _judge(store, policies, against, by)
        purse = Allowance(f"evaluate {' '.join([*policies, f'against {against}'])}", 0, max_cost)
        verdicts = _verdicts(store, [*named.values()], judge, purse)
    games = games_of(verdicts, {name: store.read(one.responses) for name, one in named.items()})
    figures = evaluated(games, [*EVALUATORS], seed=0)
    if figures.is_empty():
        raise DataError("Nothing was said of two policies' responses to one prompt: all skipped.")
    print_parts(contest_parts(figures), console, f"against {games.reference}")
    if output:
        write_rows(figures, output)
        say(f"figures in {output}")


def _contestants(
    store: Store, policies: Sequence[str], against: str | None
) -> dict[str, Contestant]:
    """Name → policy; the reference is the first."""
    if not policies:
        raise ConfigError("Name what to evaluate: a run from `prefopt runs`, or a file.")
    if against is None:
        if len(policies) > 1 or is_file(policies[0]):
            raise ConfigError("Name the reference: --against a run, or a file of responses.")
        found = rounds_of(store, run_meant(policies[0]))
        return {one.name: one for one in found}
    named: dict[str, Contestant] = {}
    for what in (against, *policies):
        one = contestant(store, what)
        name = what if one.name in named else one.name
        if name in named:
            raise ConfigError(f"{what} is named twice. Name each policy once.")
        named[name] = one
    return named


def _judge(
    store: Store, policies: Sequence[str], against: str | None, by: Path | None
) -> AnnotatorConfig | None:
    """Who judges; None: what a run's evaluation said of its rounds is enough."""
    if by:
        return annotator_in(by)
    if against is None:
        return None
    runs = [what for what in (*policies, against) if not is_file(what)]
    if not runs:
        raise ConfigError("Name who judges: --by a YAML file with `annotator` and `params`.")
    return grader_of(find_run(store, runs[0]))


def _verdicts(
    store: Store, compared: Sequence[Contestant], judge: AnnotatorConfig | None, purse: Allowance
) -> Any:
    """Table `verdicts` on the responses of all."""
    if judge is None:
        return store.read_all(_once(table for one in compared for table in one.grades))
    # In an order of their own, so that nothing is asked again with another policy as reference.
    responses = gather_responses(_once(one.responses for one in compared))
    prompts = gather_prompts(_once(each for one in compared for each in one.prompts), responses)
    return store.read(grade_responses(responses, responses, prompts, judge, allowance=purse))


def _once(tables: Iterable[Artifact]) -> list[Artifact]:
    """Distinct tables, by their digests."""
    found = {table.digest: table for table in tables}
    return [found[digest] for digest in sorted(found)]
