"""`run`, `plan` and `ui`: from a config to a flow."""

import os
import shlex
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from flows.console import ConsoleObserver, print_parts
from flows.lookup import flow_of, stages_named
from flows.planning import plan_run, print_doubts
from flows.preflight import certain
from flows.server import own_server, prefect_server, usual_server
from flows.stored import from_store
from flows.terminal import Terminal, say
from flows.verbs.options import NoServer, Quiet, Whole
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.checks import check
from prefopt_core.experiments.continuing import numbered
from prefopt_core.experiments.sources import load_run
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.ground.errors import ConfigError
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.rounds import rounds_in_words
from tasks.session import Session, current_store, session

Config = Annotated[str, Parameter(help="YAML file, or the name of a deployment in prefect.yaml")]
Changes = Annotated[str, Parameter(help="settings that differ from it, as selection.k=4")]
Refresh = Annotated[tuple[str, ...], Parameter(help="compute it again", metavar="STAGE")]


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
        typed = shlex.join(["prefopt", "run", Path(config).name, *changes])
        how = Session(again, observer, doubts=tuple(doubts), command=typed)
        result, url = _ran(flow, experiment, how, no_server=no_server, progress=progress)
    figures = current_store().read_all(result.metrics)
    title = f"{flow}, {time.monotonic() - started:.0f} s"
    print_parts(rounds_in_words(figures, result.kept), console, title)
    say(f"report       {result.report}")
    # As it was called: `make quickstart` does not put it on the PATH.
    me = sys.argv[0] if Path(sys.argv[0]).name == "prefopt" else "prefopt"
    say(f"preferences  {me} show {result.preferences.digest[:12]}")
    if result.policy:
        say(f"policy       {current_store().place(result.policy)}")
    if url:
        say(f"Prefect UI   {me} ui")
    elif not no_server:
        say("Prefect      has no part in this run: the store held every result")


def _ran(
    flow: str, experiment: Experiment, how: Session, *, no_server: bool, progress: Terminal
) -> tuple[Any, str | None]:
    """Result of the run, and where Prefect shows it: nowhere if no server runs or is needed."""
    if not no_server and usual_server() is None:
        stored = from_store(flow, experiment, how)
        if stored is not None:
            return stored, None
    with nullcontext() if no_server else prefect_server() as url:
        if url:
            progress.tell(f"Prefect: {url.removesuffix('/api')}")
        # Importing a flow imports Prefect, which reads the server's URL once and for all.
        from flows.waiting import result_of

        with session(how):
            function = flow_of(flow)
            result = function.fn(experiment) if no_server else result_of(function, experiment)
    return result, url


def plan(config: Config, /, *changes: Changes, refresh: Refresh = ()) -> None:
    """Say what a run would do, without doing it."""
    flow, experiment = load_run(config, changes_of(changes))
    experiment = numbered(experiment, current_store())
    plan_run(flow, experiment, stages_named(refresh), Terminal())


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
        changes[path] = read_yaml(value, f"The value of {path}, {value!r},")
    return changes
