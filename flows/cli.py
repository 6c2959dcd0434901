"""The `prefopt` command: the command line parser and the table of its verbs."""

import os
import select
import shlex
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import UnknownCommandError, UnusedCliTokensError

from flows.terminal import called, say
from prefopt_core.ground.errors import AwaitingLabelsError, NothingNewError, PrefoptError

VERBS = {
    "init": ("flows.verbs.init:init", "write a config, prompts and a judge to start from"),
    "run": (
        "flows.verbs.run:run",
        "run a config; the same command again resumes it",
    ),
    "plan": ("flows.verbs.run:plan", "show what a run would do, and which labels it would buy"),
    "pilot": ("flows.verbs.pilot:pilot", "say by few labels whether self-labels are worth a try"),
    "compare": ("flows.verbs.compare:compare", "spend the same labels in several ways, by seeds"),
    "select": ("flows.verbs.select:select", "choose which responses of a file to label"),
    "pool": ("flows.verbs.pool:pool", "choose which prompts of a large file deserve labels"),
    "annotate": ("flows.verbs.annotate:annotate", "label what is asked of people, in a browser"),
    "lint": ("flows.verbs.lint:lint", "look for what is wrong with preference pairs"),
    "list": ("flows.verbs.listing:list_names", "list what a config can name, with its settings"),
    "runs": ("flows.verbs.runs:runs", "list the runs of this store, and what they came to"),
    "show": ("flows.verbs.show:show", "show what a run came to, or an artifact as a table"),
    "evaluate": ("flows.verbs.evaluate:evaluate", "compare policies by what they answered"),
    "export": (
        "flows.verbs.export:export",
        "write a run's pairs as a data set, its policy, or its answers for benchmarks",
    ),
    "trace": ("flows.verbs.trace:trace_pair", "where an exported pair comes from"),
    "ui": ("flows.verbs.run:ui", "open Prefect's pages on the runs of this store"),
    "deploy": (
        "flows.verbs.deploy:deploy",
        "publish a config, or all of prefect.yaml, to a Prefect server",
    ),
    "doctor": ("flows.verbs.doctor:doctor", "what works on this machine, and what mends the rest"),
}
"""Verb → (function, whose signature defines the verb's arguments; line for the help page).

Imported when used: `prefopt --help` must not wait for polars, torch or Prefect.
"""

CACHE = {
    "ls": ("flows.verbs.cache:ls", "what the store holds, by stage"),
    "explain": ("flows.verbs.cache:explain", "what an artifact was made of, and how"),
    "verify": ("flows.verbs.cache:verify", "compare every object with its digest"),
    "rm": ("flows.verbs.cache:rm", "forget results, so that they are computed again"),
    "gc": ("flows.verbs.cache:gc", "delete what nothing refers to"),
    "push": ("flows.verbs.cache:push", "copy results to a store behind a URL, such as s3://"),
    "pull": ("flows.verbs.cache:pull", "copy results from there"),
}
"""The verbs that follow `prefopt cache`, in the same form."""

LABELS = {
    "ls": ("flows.verbs.labels:ls", "who gave how many labels, when, at what cost"),
    "show": ("flows.verbs.labels:show", "labels with their texts"),
    "export": ("flows.verbs.labels:export", "write questions or verdicts for other tools"),
    "import": ("flows.verbs.labels:import_", "take verdicts from a file"),
    "name": ("flows.verbs.labels:name", "name an annotator, so that its labels stay its own"),
    "rm": ("flows.verbs.labels:rm", "delete labels, so that they are bought again"),
    "verify": ("flows.verbs.labels_repair:verify", "find labels that were changed, or are lost"),
    "rebuild": ("flows.verbs.labels_repair:rebuild", "put labels back from tables of the store"),
}
"""The verbs that follow `prefopt labels`."""


AWAITING = 75
"""Exit status of a run that waits for people: `EX_TEMPFAIL` of sysexits.h, try again later."""

_TRACEBACK = "--traceback"
"""Option of every verb: show where in the code an error came from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; errors a user can cause end in one line, not a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    traced = _TRACEBACK in words
    try:
        verb, bound, _ = app.parse_args(
            [w for w in words if w != _TRACEBACK], print_error=False, exit_on_error=False
        )
        status = verb(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        return 1
    except AwaitingLabelsError as awaited:  # nothing is wrong
        say(f"{awaited}\n  then:     {called()} {shlex.join(words)}")
        return AWAITING
    except NothingNewError as rest:
        say(str(rest))
        return 0
    except KeyboardInterrupt:
        say("\nprefopt: interrupted; the same command goes on from here.", error=True)
        return 130
    except Exception as error:
        if traced:
            say(traceback.format_exc(), error=True)
        say(*(f"prefopt: {problem}" for problem in _problems(error)), error=True)
        return 2
    return status or 0  # a verb returns a status only where it can tell more than an error


def _reader_is_gone() -> bool:
    """Whether nobody reads stdout any more, as in `prefopt list | head`; then it goes nowhere."""
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)  # errors are told whatever one asks for
    if not pipe.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _problems(error: Exception) -> list[str]:
    """Messages of an error that a user can cause; any other error is raised again."""
    from pydantic import ValidationError

    from prefopt_core.ground.settings import problems_of

    match error:
        case CycloptsError():
            return [_misuse(error)]
        case PrefoptError():
            return str(error).splitlines()
        case ValidationError():
            return problems_of(error)
    raise error


def _misuse(error: CycloptsError) -> str:
    """Message for a command line that cannot be parsed, with the help to read."""
    from prefopt_core.ground.registry import did_you_mean

    said = " ".join(("prefopt", *(error.command_chain or ())))
    match error:
        case UnknownCommandError(app=App() as known, unused_tokens=[word, *_]):
            # Cyclopts' own message would import every verb.
            verbs = (name for name in known if not name.startswith("-"))
            problem = f"There is no `{said} {word}`.{did_you_mean(word, verbs)}"
        case UnusedCliTokensError(unused_tokens=[word, *_]):
            problem = f"`{said}` takes no further {word!r}."
        case _:
            problem = str(error)
    return f"{problem} See `{said} --help`."


def _shown(default: object) -> str | None:
    """The default as the help page shows it; None to show none, for flags and optional names."""
    return None if isinstance(default, bool | tuple | None) else str(default)


def _version() -> str:
    from importlib.metadata import version

    return f"prefopt {version('prefopt-flows')}"


def _register(group: App, verbs: dict[str, tuple[str, str]]) -> None:
    for place, (name, (function, text)) in enumerate(verbs.items()):
        group.command(function, name=name, help=text, help_epilogue="", sort_key=place)


app = App(
    name="prefopt",
    help="Align language models to preferences with few labels.",
    help_epilogue="Artifacts lie in the store: $PREFOPT_STORE, a folder or a URL, by default "
    "data/store. With "
    "--traceback any verb shows where an error came from.",
    help_format="plaintext",
    version=_version,
    version_flags=("--version",),
    default_parameter=Parameter(negative=(), allow_repeating=True, show_default=_shown),
)
"""The command line parser."""

_cache = App(
    name="cache",
    help="look after the store",
    help_epilogue="",
    version_flags=(),
    sort_key=len(VERBS),
)
_labels = App(
    name="labels",
    help="look after labels, and exchange them by files",
    help_epilogue="",
    version_flags=(),
    sort_key=len(VERBS),
)
_register(app, VERBS)
_register(_cache, CACHE)
_register(_labels, LABELS)
app.command(_cache)
app.command(_labels)


if __name__ == "__main__":
    sys.exit(main())
