"""One HTML file to mail around: it asks the questions without a network and saves the verdicts.

Responses are untrusted: they lie in the page as data, and its script shows them as text. The page's
own policy lets nothing else run, and nothing be fetched.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from prefopt_core.exchange.cells import Row, known_texts, number_in, text_in, time_in
from prefopt_core.exchange.files import each, write_text
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import digest_of, quoted
from prefopt_core.ground.templates import templates_of
from prefopt_core.inputs.files import read_json
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.words import NoVerdictError, expected, verdict_in, word_of

_KEY = ("id", "annotator", "guidelines")
_AS_ENTITIES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""In JSON within a page: no text ends the script element or begins a comment."""


def write(entries: Sequence[Entry], path: Path, *, guide: Path | None = None) -> Iterable[str]:
    """Write a page that asks the questions; verdicts that are there stand in it as given.

    Args:
        entries: The questions.
        path: The page.
        guide: A text file of what people are to look at, which stands above the questions.

    Raises:
        DataError: The guide cannot be read.
    """
    questions = [_question(entry) for entry in entries]
    data = json.dumps(
        {
            "page": digest_of(*(q[name] for q in questions for name in _KEY)),
            "questions": questions,
        },
        ensure_ascii=False,
    )
    for sign, entity in _AS_ENTITIES.items():
        data = data.replace(sign, entity)
    script, style = (_part(name) for name in ("page.js", "page.css"))
    page = (
        templates_of("prefopt_core.exchange")
        .get_template("page.html.jinja")
        .render(
            data=Markup(data),
            script=Markup(script),
            style=Markup(style),
            policy=(
                f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
                "base-uri 'none'; form-action 'none'"
            ),
            number=len(questions),
            guide=_text_of(guide) if guide else "",
        )
    )
    write_text(path, page)
    return ()


def _text_of(guide: Path) -> str:
    try:
        return guide.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{guide} cannot be read ({error}). Name a text file in UTF-8 with --guide."
        ) from error


def _part(name: str) -> str:
    return files("prefopt_core.exchange").joinpath("templates", name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _question(entry: Entry) -> dict[str, Any]:
    question = known_texts(entry)
    return {
        "id": entry.question_id,
        "annotator": entry.annotator,
        "guidelines": entry.guidelines,
        "prompt": [{"role": m["role"], "content": m["content"]} for m in question.prompt],
        "responses": [shown.text for shown in question.responses],
        "verdict": word_of(entry.verdict) if entry.verdict else "",
        "why": entry.verdict.why if entry.verdict else "",
        "by": entry.verdict.by if entry.verdict else "",
    }


def read(path: Path) -> Iterator[Entry]:
    """Read the .json that the page saves.

    Raises:
        DataError: It is not what the page writes, or an answer in it is malformed.
    """
    saved = read_json(path)
    answers = saved.get("verdicts") if isinstance(saved, dict) else None
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        raise DataError(f"{path} is not what the page of questions saves. Save it there once more.")
    rows = ((f"{path}, verdict {number}", answer) for number, answer in enumerate(answers, 1))
    yield from each(rows, lambda row, where: [_entry(row, where)])


def _entry(row: Row, where: str) -> Entry:
    word, size = text_in(row, "verdict", where), number_in(row, "responses", where)
    try:
        said = verdict_in(word, int(size or 0)) if word else None
    except NoVerdictError:
        raise DataError(
            f"{where}: {quoted(word)} is no verdict; expected {expected(int(size or 0))}."
        ) from None
    verdict = said and Verdict(
        said.state,
        said.scores,
        said.preference,
        text_in(row, "by", where).strip(),
        text_in(row, "why", where),
        seconds=number_in(row, "seconds", where),
    )
    return Entry(
        text_in(row, "id", where),
        None,
        verdict,
        text_in(row, "annotator", where),
        text_in(row, "guidelines", where),
        at=time_in(number_in(row, "at", where), where),
        where=where,
    )
