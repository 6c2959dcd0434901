"""Reading candidate responses from files: one per row, a list per row, or one per column."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import prompt_id_of, quoted
from prefopt_core.inputs.files import PROMPT_COLUMNS, Row, messages_of, prompt_column, read_rows


@dataclass(frozen=True)
class Given:
    """One response from a file.

    Attributes:
        where: File and row, for error messages.
        text: The response.
        writer: The column `model` of its row, or the name of the column it stood in.
    """

    where: str
    text: str
    writer: str


def read_candidates(path: Path, column: str | None, empty: str) -> dict[str, list[Given]]:
    """Read responses from a file in any of three layouts, told apart by the columns.

    * `response`: one row a response; `model` may say who wrote it.
    * `responses`: a list of texts in every row.
    * neither: every column but the prompt's is a response (the CSV of the AEPO code).

    Args:
        path: .jsonl, .csv or .parquet.
        column: The prompt's column; by default `prompt` or `instruction`.
        empty: What to do with a response without text: "error", "drop" or "keep".

    Returns:
        prompt_id → responses, in the order of the file.

    Raises:
        DataError: The file cannot be read, has no column with prompts, or a response is not a text,
            or empty.
    """
    given: dict[str, list[Given]] = {}
    for row in read_rows(path):
        name = prompt_column(row, column)
        responses = given.setdefault(prompt_id_of(messages_of(row, name)), [])
        for writer, value in _responses_of(row, name):
            if not isinstance(value, str | None):
                raise DataError(
                    f"{row.where}: the response {value!r} of {writer!r} is not a text. Make it "
                    "one; or, if it is none, leave it out (without a column `response` or "
                    "`responses`, every column but the prompt's is a response)."
                )
            text = value or ""
            if not text.strip() and empty == "error":
                raise DataError(
                    f"{row.where}: the response of {writer!r} is empty. Fill it in, or set "
                    "`generation.params.empty` to 'drop' (leave it out) or 'keep'."
                )
            if text.strip() or empty == "keep":
                responses.append(Given(row.where, text, writer))
    return given


def _responses_of(row: Row, prompt: str) -> Iterator[tuple[str, object]]:
    values = row.values
    if "response" in values:
        yield str(values.get("model") or "file"), values["response"]
    elif "responses" in values:
        if not isinstance(values["responses"], list):
            raise DataError(
                f"{row.where}: 'responses' is {quoted(values['responses'])}, not a list of "
                "texts. Write a list, or one row a response with a column `response`."
            )
        yield from (("file", value) for value in values["responses"])
    else:
        ids = {prompt, "prompt_id", *PROMPT_COLUMNS}
        yield from ((name, value) for name, value in values.items() if name not in ids)
