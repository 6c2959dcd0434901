"""CSV: one question a row, for any spreadsheet; the column `verdict` is to be filled in.

A spreadsheet computes cells that begin like formulas, and turns others into numbers and dates.
These get an apostrophe in front, which is taken off on the way in.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefopt_core.exchange.cells import (
    Row,
    known_texts,
    number_in,
    prompt_from_text,
    prompt_to_text,
    question_in,
    time_in,
)
from prefopt_core.exchange.files import each, write_text
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import quoted
from prefopt_core.ground.spending import Usage
from prefopt_core.inputs.formulas import FORMULA
from prefopt_core.inputs.recognised import what_it_is
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.words import NoVerdictError, expected, verdict_in, word_of

_SAID = ("verdict", "by", "why")
_IDS = ("question_id", "annotator", "guidelines")
_MORE = ("when", "seconds", "prompt_tokens", "completion_tokens", "cost")
"""Of verdicts that are there; a person leaves them empty."""

_CONVERTED = re.compile(
    r"\d.{0,30}|true|false|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\W?\d.{0,20}",
    re.I | re.S,
)
_MOST_TOKENS = 2**53
_LONGEST = 32_767
"""Characters that Excel keeps of a cell."""


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write the questions, and the verdicts there are, as CSV in UTF-8 with a mark that says so.

    Yields:
        What a spreadsheet would cut off.
    """
    size = max((len(known_texts(entry).responses) for entry in entries), default=2)
    columns = ["prompt", *(f"response_{i}" for i in range(1, size + 1)), *_SAID, *_IDS, *_MORE]
    text = io.StringIO(newline="")
    lines = csv.DictWriter(text, columns, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    lines.writeheader()
    long = 0
    for entry in entries:
        row = {name: _guarded(cell) for name, cell in _row(entry).items()}
        row["verdict"] = word_of(entry.verdict) if entry.verdict else ""  # -1.5 is a number
        long += any(len(cell) > _LONGEST for cell in row.values())
        lines.writerow(row)
    write_text(path, "\ufeff" + text.getvalue())
    if long:
        yield (
            f"{long} rows have texts of more than {_LONGEST:,} characters, of which Excel cuts the "
            "rest off; such rows are refused on the way in. LibreOffice keeps them."
        )


def _row(entry: Entry) -> dict[str, str]:
    question, verdict = known_texts(entry), entry.verdict
    row = {"prompt": prompt_to_text(question.prompt)}
    row |= {f"response_{i}": shown.text for i, shown in enumerate(question.responses, 1)}
    # With a letter in front no id is a number, as 123e45 would be; and the file says how many
    # responses a row has where it has fewer than there are columns.
    row["question_id"] = f"q{len(question.responses)}-{entry.question_id}"
    row |= {"annotator": entry.annotator, "guidelines": entry.guidelines}
    if verdict:
        row |= {"by": verdict.by, "why": verdict.why} | _more(entry, verdict)
    return row


def _more(entry: Entry, verdict: Verdict) -> dict[str, str]:
    used = verdict.usage
    when = None if entry.at is None else datetime.fromtimestamp(entry.at, UTC).isoformat()
    values = (when, verdict.seconds, used.prompt_tokens, used.completion_tokens, used.cost)
    return {
        name: str(value) for name, value in zip(_MORE, values, strict=True) if value is not None
    }


def _is_guarded(text: str) -> bool:
    plain = text.lstrip("'")
    return bool(FORMULA.match(plain) or _CONVERTED.fullmatch(plain))


def _guarded(text: str) -> str:
    return f"'{text}" if _is_guarded(text) else text


def _unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and _is_guarded(text[1:]) else text


def read(path: Path) -> Iterator[Entry]:
    """Read questions and verdicts from what a spreadsheet made of the file.

    Raises:
        DataError: It is no such CSV, or a cell is malformed.
    """
    header, rows = _cells(path)
    if missing := [name for name in ("prompt", "verdict", "question_id") if name not in header]:
        raise DataError(
            f"{path} has no column {missing[0]!r} among {', '.join(map(repr, header))}. Keep the "
            "first line and all columns as `prefopt labels export` wrote them."
        )
    for number, cells in rows:
        if len(cells) > len(header):
            raise DataError(
                f"{path}, row {number} has {len(cells)} cells, the first line {len(header)}. Put "
                "double quotes around cells that hold the separator or line breaks."
            )
    yield from each(
        (
            (f"{path}, row {number}", dict(zip(header, map(_unguarded, cells), strict=False)))
            for number, cells in rows
        ),
        lambda row, where: [_entry(row, where)],
    )


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The first row, and the others with their numbers, as a spreadsheet shows them."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give its path.") from error
    except UnicodeDecodeError as error:
        what = what_it_is(data[:4096]) or ("not UTF-8 text", "save it as “CSV UTF-8”")
        raise DataError(f"{path} is {what[0]}; expected CSV in UTF-8: {what[1]}.") from error
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)  # a spreadsheet saves with that of its country
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = next(lines, [])
        return header, [(row, cells) for row, cells in enumerate(lines, 2) if any(cells)]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {lines.line_num}: not CSV ({error}). Save it as CSV once more."
        ) from error


def _entry(row: Row, where: str) -> Entry:
    found = re.fullmatch(r"q(\d{1,3})-([0-9a-f]+)", row.get("question_id", "").strip())
    if not found:
        raise DataError(
            f"{where}: 'question_id' is {quoted(row.get('question_id', ''))}, which no question "
            "has. Copy it from the file that was exported."
        )
    size = int(found[1])
    prompt = prompt_from_text(row["prompt"], f"{where}: 'prompt'")
    responses = [row.get(f"response_{i}", "") for i in range(1, size + 1)]
    return Entry(
        found[2],
        question_in(prompt, responses),
        _verdict(row, size, where),
        row.get("annotator", ""),
        row.get("guidelines", ""),
        at=_when(row.get("when", ""), where),
        where=where,
    )


def _verdict(row: Row, size: int, where: str) -> Verdict | None:
    if not row["verdict"].strip():
        return None
    try:
        said = verdict_in(row["verdict"], size)
    except NoVerdictError:
        raise DataError(
            f"{where}: 'verdict' is {quoted(row['verdict'])}; expected {expected(size)}."
        ) from None
    prompt_tokens, completion_tokens = (_count(row, name, where) for name in _MORE[2:4])
    return Verdict(
        said.state,
        said.scores,
        said.preference,
        row.get("by", "").strip(),
        row.get("why", ""),
        Usage(prompt_tokens, completion_tokens, number_in(row, "cost", where)),
        number_in(row, "seconds", where),
    )


def _count(row: Row, name: str, where: str) -> int | None:
    number = number_in(row, name, where)
    if number is None or (number.is_integer() and 0 <= number <= _MOST_TOKENS):
        return None if number is None else int(number)
    raise DataError(f"{where}: {name!r} is {quoted(row[name])}; expected a count.")


def _when(text: str, where: str) -> float | None:
    if not text.strip():
        return None
    try:
        at = datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise DataError(
            f"{where}: 'when' is {quoted(text)}; expected a time such as "
            "2026-11-27T10:00:00+00:00, or nothing."
        ) from None
    return time_in(at, where)
