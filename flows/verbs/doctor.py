"""The verb `doctor`: print all checks of the installation and the machine, or of a model."""

import json
import os
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from flows.doctor import Check, examine, guarded
from flows.terminal import Cell, Terminal
from prefopt_core.ground.errors import ConfigError, PrefoptError

MARKS: dict[str, Cell] = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "problem": ("problem", "red"),
}


def doctor(
    *,
    model: Annotated[
        str | None,
        Parameter(help="a model's folder, .gguf file or hub id: try what a run does with it"),
    ] = None,
    chat_template: Annotated[
        str | None, Parameter(help="with --model: 'plain', for a base model, or a Jinja file")
    ] = None,
) -> None:
    """Print all checks.

    Raises:
        PrefoptError: The quickstart cannot run, or no run with this model.
    """
    if model is not None:
        from flows.doctor.model import examine_model

        return _tell([*examine_model(model, chat_template)], f"A run with {model} would fail")
    if chat_template is not None:
        raise ConfigError("--chat-template belongs to a model. Name it by --model.")
    checks = [*examine(), *guarded("Prefect", prefect_server)]
    return _tell(checks, "The quickstart cannot run here")


def _tell(checks: Sequence[Check], failure: str) -> None:
    console = Terminal()
    rows = [[MARKS[check.state], check.what, check.found] for check in checks]
    console.table(["", "", "found"], rows)
    for check in checks:
        if check.mend:  # below the table, which would break commands in lines
            console.tell(f"{check.what}: {check.mend}")
    problems = [check.what for check in checks if check.state == "problem"]
    if problems:
        raise PrefoptError(f"{failure}: mend {', '.join(problems)}.")


def prefect_server() -> Iterator[Check]:
    """Whether the Prefect server that a run would use answers, and its version fits."""
    from flows.own_server import answers
    from flows.server import USUAL_URL

    own = metadata.version("prefect")
    named = os.environ.get("PREFECT_API_URL")
    url = named or USUAL_URL
    shown = urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2]).geturl()
    if answers(url):
        other = _version(url)
        if other and other.split(".")[:2] != own.split(".")[:2]:
            found = f"{shown} is Prefect {other}, installed is {own}"
            yield Check("Prefect", "warning", found, f"pip install prefect=={other}")
        else:
            yield Check("Prefect", "ok", f"{shown} answers, Prefect {other or own}")
    elif named:
        found = f"PREFECT_API_URL is {shown}, which does not answer"
        yield Check("Prefect", "problem", found, "prefopt ui  # or: unset PREFECT_API_URL")
    else:
        yield Check("Prefect", "ok", f"{own}, no server; `prefopt run` starts its own")


def _version(url: str) -> str | None:
    with (
        suppress(OSError, ValueError),
        urllib.request.urlopen(f"{url}/admin/version", timeout=5) as answer,
    ):
        return str(json.load(answer))
    return None
