"""`run`, `plan` and `ui`: from a config to a flow."""

import os
import shlex
import time
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Annotated, Any

from cyclopts import Parameter

from flows.console import ConsoleObserver, print_parts
from flows.lookup import flow_of, stages_named
from flows.own_server import own_server
from flows.planning import plan_run, print_doubts
from flows.preflight import certain
from flows.server import outliving, prefect_server, usual_server
from flows.stored import from_store
from flows.terminal import Terminal, called, say
from flows.verbs.options import NoServer, Quiet, Whole
from flows.verbs.runs import results_of
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.checks import check
from prefopt_core.experiments.continuing import numbered, paid
from prefopt_core.experiments.sources import load_run
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.ground.errors import ConfigError
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.advice import in_short
from prefopt_core.reports.rounds import table_in_words, verdict_of, warned
from prefopt_core.store.runs import find_run
from tasks.session import Session, current_store, session

Config = Annotated[
    str,
    Parameter(
        help="YAML file; or the name of a run that comes with prefopt, as quickstart, or of a "
        "deployment in the prefect.yaml here"
    ),
]
Changes = Annotated[
    str, Parameter(help="settings in place of the config's, as seed=1 selection.k=4")
]
Refresh = Annotated[
    tuple[str, ...],
    Parameter(
        help="compute a stage again though the store has it, as train; may be repeated",
        metavar="STAGE",
    ),
]

_SHOWN = 60
"""Characters of a value that are shown where it cannot be read."""


def run(
    config: Config,
    /,
    *changes: Changes,
    refresh: Refresh = (),
    quiet: Quiet = False,
    no_server: NoServer = False,
) -> None:
    """Run a flow and print what it came to."""
    flow, experiment = load_run(config, changes_of(changes))
    experiment = numbered(experiment, current_store())
    again = stages_named(refresh)
    console = Terminal()
    progress = Terminal(quiet=True) if quiet else console
    doubts = check(experiment, LabelStore.of(current_store()))
    print_doubts(certain(doubts), console)  # what lacks is told where it is used
    # Prefect's own lines would stand between ours; in its UI they are all there.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    started = time.monotonic()
    with ConsoleObserver(progress) as observer:
        typed = typed_run(config, changes)
        how = Session(again, observer, doubts=tuple(doubts), command=typed)
        url = _run(flow, experiment, how, no_server=no_server, progress=progress)
    _print_end(str(experiment.name), f"{flow}, {time.monotonic() - started:.0f} s", console)
    if url:
        say(f"Prefect UI   {called()} ui")
    elif not no_server:
        say("Prefect      has no part in this run: the store held every result")


def _print_end(name: str, title: str, console: Terminal) -> None:
    """Print what a run came to, its warnings in short, and what can be done with it next."""
    ended = find_run(current_store(), name)
    figures = current_store().read_all(ended.metrics)
    parts = [verdict_of(figures, ended.kept), *table_in_words(figures)]
    print_parts(parts, console, f"{name}: {title}")
    told = warned(figures, ended.kept)
    for warning in dict.fromkeys(map(in_short, [*ended.warnings, *told])):
        console.warn(warning)
    again = "; warnings in full" if ended.warnings or told else ""
    say(f"run          {called()} show {name}  (this again{again})")
    for what, text in results_of(ended):
        say(f"{what:<12} {text}")


def _run(
    flow: str, experiment: Experiment, how: Session, *, no_server: bool, progress: Terminal
) -> str | None:
    """Run it; returns where Prefect shows it: nowhere if no server runs or is needed."""
    may_need_none = not no_server and usual_server() is None
    if may_need_none and from_store(lambda: flow_of(flow).fn(experiment), how) is not None:
        return None
    with nullcontext() if no_server else prefect_server(progress.tell) as url:
        if url:
            progress.tell(f"Prefect: {url.removesuffix('/api')}")
        with session(how):
            function = flow_of(flow)
            if no_server:
                function.fn(experiment)
                return None
            # Imports Prefect, which reads the server's URL once and for all.
            from flows.waiting import result_of

            def ran(in_prefect: bool) -> Any:
                return result_of(function, experiment) if in_prefect else function.fn(experiment)

            outliving(ran, progress.tell)
    return url


def plan(config: Config, /, *changes: Changes, refresh: Refresh = ()) -> None:
    """Say what a run would do, without doing it."""
    flow, experiment = load_run(config, changes_of(changes))
    experiment = numbered(experiment, current_store())
    experiment = paid(experiment, current_store(), typed_run(config, changes))
    plan_run(flow, experiment, stages_named(refresh), Terminal())


def typed_run(config: str, changes: Iterable[str]) -> str:
    """The command that runs it."""
    return shlex.join(["prefopt", "run", config, *changes])


def ui(*, port: Annotated[Whole, Parameter(help="where to serve them")] = 4200) -> None:
    """Serve Prefect's pages until interrupted."""
    with own_server(port) as url:
        os.environ["PREFECT_API_URL"] = url
        from flows.dead_runs import crash_killed, watch  # imports Prefect, which reads the address

        watch()
        crash_killed(current_store())
        say(f"{url.removesuffix('/api')}  (stop with Ctrl-C)")
        while True:
            time.sleep(3600)


def changes_of(texts: Iterable[str]) -> dict[str, Any]:
    """`setting=value` texts as settings and values."""
    changes: dict[str, Any] = {}
    for text in texts:
        path, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"{text!r} is not a change; write setting=value, as selection.k=4.")
        if path in changes:
            raise ConfigError(f"{path} is set twice. Leave one of them out.")
        shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
        changes[path] = read_yaml(value, f"The value of {path}, {shown!r},")
    return changes
