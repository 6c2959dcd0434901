"""Replay recorded judgments: scores from a file, whoever gave them."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from prefopt_core.annotation.doubts import Recorded, doubts_of_scores
from prefopt_core.annotation.verdicts import by_scores
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of, last_text, prompt_id_of, quoted
from prefopt_core.ground.registry import InputPath
from prefopt_core.inputs.files import Row, read_rows
from prefopt_core.inputs.prompt_columns import prompt_of
from prefopt_core.inputs.responses import response_text
from prefopt_core.labels.questions import Question, Verdict


def annotate(
    questions: Sequence[Question],
    *,
    path: InputPath,
    score: str = "score",
    column: str | None = None,
    missing: Literal["error", "skip"] = "error",
) -> Iterator[Verdict]:
    """Look scores up in a file with columns prompt, response and `score`.

    The same response recorded several times gets its mean score.

    Args:
        questions: The responses to score.
        path: The .jsonl, .json, .csv or .parquet with the scores.
        score: The column with the score, a finite number; higher is better.
        column: The prompt's column; null: `prompt`, else `instruction`.
        missing: What to do where a response has no finite score in the file: "error" ends the run,
            "skip" leaves it unjudged.

    Raises:
        DataError: A column is missing, a response is no text, or, unless `missing` is "skip", a
            response has no score or one that is not a finite number.
    """
    recorded = recorded_in(Path(path), score, column, missing)

    def looked_up() -> Iterator[float | None]:
        for question in questions:
            prompt_id = prompt_id_of(question.prompt)
            for shown in question.responses:
                found = recorded.get(candidate_id_of(prompt_id, shown.text))
                if found is None and missing == "error":
                    raise DataError(
                        f"{path} has no {score!r} for the response {quoted(shown.text)} to the "
                        f"prompt {quoted(last_text(question.prompt))}. Add it, or set "
                        "`annotation.params.missing: skip`."
                    )
                yield fmean(each.score for each in found) if found else None

    yield from by_scores(questions, looked_up())


def check_annotate(*, path: str, score: str, column: str | None, missing: str) -> Iterator[str]:
    """What is doubtful about recorded scores: a sentence each, with counts.

    Raises:
        DataError: As for `annotate`.
    """
    unjudged: list[str] = []
    recorded = recorded_in(Path(path), score, column, missing, unjudged)
    of_prompts: dict[str, dict[str, list[Recorded]]] = defaultdict(dict)
    for response, own in recorded.items():
        for each in own:
            of_prompts[each.prompt_id].setdefault(response, []).append(each)
    for doubt in doubts_of_scores(list(of_prompts.values()), score, unjudged):
        yield f"{path}: {doubt}"


def recorded_in(
    path: Path, column: str, prompt: str | None, missing: str, unjudged: list[str] | None = None
) -> dict[str, list[Recorded]]:
    """Id of a response → its scores in a file; rows without one are added to `unjudged`.

    Args:
        path: The file.
        column: Its column of scores.
        prompt: Its column of prompts, as for `annotate`.
        missing: "error" refuses rows without a score.
        unjudged: Where such rows are noted.

    Raises:
        DataError: As for `annotate`, of the file alone.
    """
    recorded: dict[str, list[Recorded]] = defaultdict(list)
    for row in read_rows(path):
        for name in ("response", column):
            if name not in row.values:
                raise DataError(
                    f"{row.where}: no column {name!r} among {', '.join(map(repr, row.values))}. "
                    "Recorded judgments need a prompt, a response and a score in every row."
                )
        value = _number(row, column)
        response = response_text(row.values["response"], "file", row)
        if value is None and missing == "error":
            raise DataError(
                f"{row.where}: {column!r} is {row.values[column]!r}, not a finite number. Fill it "
                "in, or set `annotation.params.missing: skip` to leave such responses unjudged."
            )
        prompt_id = prompt_id_of(prompt_of(row, prompt))
        given: Any = row.values[column]
        kind = "text" if isinstance(given, str) and path.suffix.lower() != ".csv" else ""
        kind = "truth" if isinstance(given, bool) else kind
        number = row.where.removeprefix(f"{path}, ")
        if value is None and unjudged is not None:
            unjudged.append(number)
        if value is not None:
            recorded[candidate_id_of(prompt_id, response)].append(
                Recorded(value, number, prompt_id, kind)
            )
    return recorded


def _number(row: Row, column: str) -> float | None:
    value: Any = row.values[column]
    if isinstance(value, str) and "_" in value:  # Python would read 1_000 as a number
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
