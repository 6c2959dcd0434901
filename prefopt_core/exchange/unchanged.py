"""Whether a row of a file is what it was when it was exported: its texts, whose label it is."""

import json
from collections.abc import Iterable

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import last_text, quoted
from prefopt_core.labels.questions import Question
from prefopt_core.store.artifacts import canonical_json


def check_annotator(text: str) -> None:
    """Refuse what no annotator is called in a label store.

    Raises:
        DataError: It is no canonical JSON of an object.
    """
    try:
        parts = json.loads(text)
        fits = isinstance(parts, dict) and canonical_json(parts) == text
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise DataError(
            f"its annotator is {quoted(text)}, which was edited after the export. Copy it from "
            "another row."
        )


def check_texts(asked: Question, given: Question) -> None:
    """Refuse texts that are not those that were asked about; kinds of line breaks do not count.

    Raises:
        DataError: One was edited.
    """
    there = {"prompt": _flat(asked.prompt), **_responses(asked)}
    here = {"prompt": _flat(given.prompt), **_responses(given)}
    for name in there:
        if name not in here or _lines(there[name]) != _lines(here[name]):
            raise DataError(
                f"{name!r} was edited after the export: it was {quoted(there[name])} and is "
                f"{quoted(here.get(name, ''))} ({len(there[name]):,} and "
                f"{len(here.get(name, '')):,} characters). A verdict is on the text that was "
                "asked about: put it back, or export again."
            )


def _flat(prompt: Iterable[dict[str, str]]) -> str:
    messages = list(prompt)
    return last_text(messages) if len(messages) == 1 else json.dumps(messages, ensure_ascii=False)


def _responses(question: Question) -> dict[str, str]:
    return {f"response_{i}": shown.text for i, shown in enumerate(question.responses, 1)}


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
