"""Replay recorded judgments: scores from a file, whoever gave them."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from prefopt_core.annotation import Request
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of, last_text, prompt_id_of, quoted
from prefopt_core.ground.registry import InputPath
from prefopt_core.inputs.files import Row, read_rows
from prefopt_core.inputs.prompt_columns import prompt_of
from prefopt_core.inputs.responses import response_text


def annotate(
    requests: Sequence[Request],
    *,
    path: InputPath,
    score: str = "score",
    column: str | None = None,
    missing: Literal["error", "skip"] = "error",
) -> Iterator[float | None]:
    """Look scores up in a file with columns prompt, response and `score`.

    The same response recorded several times gets its mean score.

    Args:
        requests: The responses to score.
        path: The .jsonl, .csv or .parquet with the scores.
        score: The column with the score, a finite number; higher is better.
        column: The prompt's column; null: `prompt`, else `instruction`.
        missing: What to do where a response has no finite score in the file: "error" ends the run,
            "skip" leaves it unjudged.

    Raises:
        DataError: A column is missing, a response is no text, or, unless `missing` is "skip", a
            response has no score or one that is not a finite number.
    """
    recorded = _read(Path(path), score, column, missing)
    for request in requests:
        prompt_id = prompt_id_of(request.prompt)
        scores = recorded.get(candidate_id_of(prompt_id, request.response))
        if scores is None and missing == "error":
            raise DataError(
                f"{path} has no {score!r} for the response {quoted(request.response)} to the "
                f"prompt {quoted(last_text(request.prompt))}. Add it, or set "
                "`annotation.params.missing: skip`."
            )
        yield fmean(scores) if scores else None


def _read(path: Path, column: str, prompt: str | None, missing: str) -> dict[str, list[float]]:
    recorded: dict[str, list[float]] = defaultdict(list)
    for row in read_rows(path):
        for name in ("response", column):
            if name not in row.values:
                raise DataError(
                    f"{row.where}: no column {name!r} among {', '.join(map(repr, row.values))}. "
                    "Recorded judgments need a prompt, a response and a score in every row."
                )
        value = _number(row, column)
        response = response_text(row.values["response"], "file", row)
        if value is not None:
            prompt_id = prompt_id_of(prompt_of(row, prompt))
            recorded[candidate_id_of(prompt_id, response)].append(value)
        elif missing == "error":
            raise DataError(
                f"{row.where}: {column!r} is {row.values[column]!r}, not a finite number. Fill it "
                "in, or set `annotation.params.missing: skip` to leave such responses unjudged."
            )
    return recorded


def _number(row: Row, column: str) -> float | None:
    value: Any = row.values[column]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
