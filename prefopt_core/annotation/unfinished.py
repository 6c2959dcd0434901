"""What a judge has said in a stage that was interrupted: kept beside it, and not asked again."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefopt_core.ground.spending import Usage
from prefopt_core.labels.questions import Question, Verdict, verdict_of

_Key = tuple[str, tuple[str, ...]]


@contextmanager
def going_on(
    path: Path | None,
) -> Iterator[tuple[dict[_Key, Verdict], Callable[[Question, Verdict], None]]]:
    """Within the block, verdicts are written to a file as they come.

    Args:
        path: The file, maybe of an earlier attempt; None: nothing is kept.

    Yields:
        (`Question.key` → the verdicts of earlier attempts, a function that keeps another).
    """
    if path is None:
        yield {}, lambda question, verdict: None
        return
    path.touch()
    with path.open("r+b") as file:
        lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]  # the last may be cut off
        file.truncate(sum(map(len, whole)))
        file.seek(0, 2)

        def keep(question: Question, verdict: Verdict) -> None:
            file.write(json.dumps([question.key, _said(verdict)]).encode() + b"\n")
            file.flush()

        try:
            yield dict(map(_read, whole)), keep
        finally:
            if not file.tell():  # so that its folder goes, too
                path.unlink()


def _said(verdict: Verdict) -> dict[str, Any]:
    more = {"by": verdict.by, "why": verdict.why, "seconds": verdict.seconds}
    return more | {
        "state": verdict.state,
        "content": verdict.content(),
        "usage": asdict(verdict.usage),
    }


def _read(line: bytes) -> tuple[_Key, Verdict]:
    (prompt_id, shown), said = json.loads(line)
    return (prompt_id, tuple(shown)), verdict_of(**said | {"usage": Usage(**said["usage"])})
