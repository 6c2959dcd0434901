"""Files of labels: which format one is, JSON in and out, prompts and ids as they stand in them."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.files import write_whole
from prefopt_core.ground.ids import Message, candidate_id_of, prompt_id_of, quoted
from prefopt_core.inputs.files import read_rows
from prefopt_core.inputs.messages import ROLES
from prefopt_core.inputs.recognised import what_it_is
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Question, Shown

Row = dict[str, Any]
"""Column → value."""

_YEAR_2100 = 4_102_444_800
_SHOWN = 10
"""So many problems are told."""
_BY_ENDING = {".csv": "csv", ".html": "html"}
_BY_COLUMNS: tuple[tuple[set[str], str], ...] = (
    ({"prefopt", "verdicts"}, "html"),
    ({"data", "annotations"}, "label-studio"),
    ({"fields", "responses"}, "argilla"),
    ({"question_id", "verdict"}, "csv"),
    ({"context", "response1", "response2", "overall_preference"}, "helpsteer3"),
    ({"prompt", "response_1", "response_2", "preference_strength"}, "helpsteer2"),
    ({"prompt", "answers"}, "nectar"),
    ({"chosen", "rejected", "score_chosen", "score_rejected"}, "ultrafeedback"),
    ({"chosen", "rejected"}, "trl"),
)
"""(what its first row has, the format): the first that fits."""


def format_to_write(path: Path, named: str | None) -> str:
    """The format of a file to be written: as named, else by the ending.

    Raises:
        ConfigError: The ending says nothing.
    """
    found = named or _BY_ENDING.get(path.suffix.lower())
    if found is None:
        raise ConfigError(
            f"{path} does not say by its ending what it is to be: .csv and .html do. Name the "
            "format with --format."
        )
    return found


def format_of(path: Path) -> str:
    """The format of a file with verdicts, by what stands in it.

    Raises:
        DataError: It cannot be read, or is none that is known.
    """
    if path.suffix.lower() == ".csv":
        return "csv"
    if path.suffix.lower() == ".html":
        raise DataError(
            f"{path} is the page with the questions. The verdicts are in the .json that its button "
            "“Save verdicts” writes: import that."
        )
    rows = [read_json(path)] if path.suffix.lower() == ".json" else [read_rows(path)[0].values]
    first = rows[0][0] if isinstance(rows[0], list) and rows[0] else rows[0]
    there = set(first) if isinstance(first, dict) else set()
    for names, format in _BY_COLUMNS:
        if names <= there:
            return format
    raise DataError(
        f"{path} is in no format of labels that is known: its first row has "
        f"{', '.join(map(repr, there)) or 'no columns'}. If it is one all the same, name it with "
        "--format."
    )


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: It cannot be read, or is no JSON.
    """
    try:
        data = path.read_bytes()
        if found := what_it_is(data[:4096]):
            raise DataError(f"{path} is {found[0]}; expected JSON in UTF-8: {found[1]}.")
        value = json.loads(data.decode("utf-8-sig"))
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair could not be stored
        return value
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give its path.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is no JSON ({error}). It may be cut off; have it sent again."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in UTF-8, its line breaks as they are."""
    write_whole(path, lambda unfinished: unfinished.write_bytes(text.encode()))


def write_records(path: Path, rows: Sequence[Row]) -> None:
    """Write rows for people and `datasets`, by the ending: .jsonl, .json (a list) or .parquet.

    Raises:
        ConfigError: It ends in something else.
        DataError: There are none.
    """
    if not rows:
        raise DataError(
            f"Nothing of this can stand in {path} in its format, and it was not written. A .csv "
            "holds every verdict; what other formats hold: docs/guides/exchange-labels.md."
        )
    match path.suffix.lower():
        case ".jsonl":
            write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
        case ".json":
            write_text(path, json.dumps(list(rows), ensure_ascii=False, indent=1))
        case ".parquet":
            frame = pl.DataFrame(rows, infer_schema_length=None)
            write_whole(path, frame.write_parquet)
        case _:
            raise ConfigError(f"{path} must end in .jsonl, .json or .parquet in this format.")


def records_in(path: Path) -> list[tuple[str, Row]]:
    """(file and row, its columns) of a .jsonl, .csv or .parquet, or of a .json with a list.

    Raises:
        DataError: It cannot be read, or its rows are no objects.
    """
    if path.suffix.lower() != ".json":
        return [(row.where, row.values) for row in read_rows(path)]
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} is no list of objects. Export it from its tool once more.")
    return [(f"{path}, row {number}", row) for number, row in enumerate(rows, 1)]


def prompt_to_text(prompt: Sequence[Message]) -> str:
    """A prompt as one text: its only message if that is the user's, else JSON.

    >>> prompt_to_text([{"role": "user", "content": "Hi"}])
    'Hi'
    """
    if len(prompt) == 1 and prompt[0]["role"] == "user" and not _is_list(prompt[0]["content"]):
        return prompt[0]["content"]
    return json.dumps(list(prompt), ensure_ascii=False)


def prompt_from_text(text: str, cell: str) -> list[Message]:
    """The prompt that `prompt_to_text` wrote.

    Raises:
        DataError: It is JSON, and no list of messages.
    """
    if not _is_list(text):
        return [{"role": "user", "content": text}]
    try:
        return messages_in(json.loads(text), cell)
    except ValueError:
        return messages_in(text, cell)


def _is_list(text: str) -> bool:
    return text.lstrip().startswith("[{")


def messages_in(value: Any, cell: str) -> list[Message]:
    """A list of messages, checked.

    Raises:
        DataError: It is none.
    """
    if (
        isinstance(value, list)
        and value
        and all(
            isinstance(m, dict)
            and m.keys() == {"role", "content"}
            and m["role"] in ROLES
            and isinstance(m["content"], str)
            for m in value
        )
    ):
        return value
    raise DataError(
        f"{cell} is {quoted(value)}; expected a list of {{role, content}} as it was written."
    )


def question_in(prompt: Sequence[Message], responses: Sequence[str]) -> Question:
    """The question on these texts, whose ids are their digests."""
    prompt_id = prompt_id_of(prompt)
    shown = (Shown(candidate_id_of(prompt_id, text), text) for text in responses)
    return Question(prompt_id, prompt, tuple(shown))


def in_any_order(question: Question, where: str) -> tuple[Question, list[int]]:
    """The question in the order of its ids, and the places where its responses stood.

    Public files have the better one first, or do not say what was shown first.

    Raises:
        DataError: Two responses are the same text.
    """
    ids = question.key[1]
    if len(set(ids)) < len(ids):
        raise DataError(f"{where}: two of the responses are the same text. Remove the row.")
    order = sorted(range(len(ids)), key=ids.__getitem__)
    shown = tuple(question.responses[place] for place in order)
    return Question(question.prompt_id, question.prompt, shown), order


def text_in(row: Row, name: str, where: str) -> str:
    """A text of a row; "" where it has none.

    Raises:
        DataError: It is something else.
    """
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: {name!r} is {quoted(value)}; expected a text.")
    return value


def number_in(row: Row, name: str, where: str) -> float | None:
    """A number of a row; None where it has none.

    Raises:
        DataError: It is something else.
    """
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: {name!r} is {quoted(value)}; expected a number.")
    return number


def time_in(number: float | None, where: str) -> float | None:
    """A time in seconds since 1970.

    Raises:
        DataError: It is none of ours.
    """
    if number is None or 0 <= number < _YEAR_2100:
        return number
    raise DataError(f"{where}: {number:g} seconds since 1970 is no time at which labels are given.")


def each(
    rows: Iterable[tuple[str, Row]], make: Callable[[Row, str], Iterable[Entry]]
) -> Iterator[Entry]:
    """The entries of all rows.

    Args:
        rows: (file and row, its columns).
        make: The entries of one row, by its columns and its place.

    Raises:
        DataError: Some rows are malformed; a line for each of the first, and how many there are.
    """
    entries: list[Entry] = []
    problems: list[str] = []
    for where, row in rows:
        try:
            entries += make(row, where)
        except DataError as error:
            problems.append(str(error))
        except (AttributeError, TypeError, LookupError, ValueError) as error:
            # Other tools' files nest deeply, and any part may be of another kind than it should.
            problems.append(
                f"{where} is not as its format has it ({error}). Export it from its tool again."
            )
    refuse(problems)
    yield from entries


def refuse(problems: Sequence[str]) -> None:
    """Say what is wrong with a file, if anything is.

    Raises:
        DataError: There are problems; a line for each of the first, and how many there are.
    """
    if problems:
        more = len(problems) - _SHOWN
        rest = [f"{more} more rows are refused."] if more > 0 else []
        raise DataError("\n".join([*problems[:_SHOWN], *rest]))


def public(question: Question, **more: Any) -> Entry:
    """The entry of a file that knows no ids."""
    return Entry(question.question_id, question, **more)


def known_texts(entry: Entry) -> Question:
    """The question of an entry to write, which has its texts."""
    if entry.question is None:
        raise DataError(f"The texts of the question {entry.question_id} are not kept.")
    return entry.question
