"""What a file's columns are read as, decided once for the whole file and told to the user."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.inputs.files import Row, columns_of, read_rows
from prefopt_core.inputs.prompt_columns import columns_of_prompt, prompt_column
from prefopt_core.inputs.responses import check_texts, response_columns


@dataclass(frozen=True)
class Layout:
    """The columns of a file by what they are read as.

    Attributes:
        prompt: The prompt's, and what belongs to it.
        responses: Those with responses; empty where only prompts are read.
        rest: Those that are not read.
    """

    prompt: tuple[str, ...]
    responses: tuple[str, ...]
    rest: tuple[str, ...]

    def __str__(self) -> str:
        parts = {"prompt": self.prompt, "responses": self.responses, "not read": self.rest}
        return "; ".join(
            f"{what}: {', '.join(map(repr, names))}" for what, names in parts.items() if names
        )


def layout_of(
    rows: Sequence[Row], column: str | None, responses: Sequence[str] | None = None
) -> Layout:
    """Tell the columns of a file of candidates apart.

    Raises:
        DataError: There is no prompt's column, or nobody can be certain which hold responses, or
            a column holds structures as text.
    """
    columns = columns_of(rows)
    prompt = columns_of_prompt(columns, prompt_column(rows[0], column), column)
    found = response_columns(rows, responses, prompt)
    check_texts(rows, [prompt[0], *found])
    return Layout(
        tuple(prompt),
        tuple(found),
        tuple(name for name in columns if name not in (*prompt, *found)),
    )


def describe_layout(
    path: Path, column: str | None = None, responses: Sequence[str] | None = None
) -> str:
    """What the columns of a file of candidates are read as, in one line.

    Raises:
        DataError: As reading the candidates does.
    """
    return f"{path}: {layout_of(read_rows(path), column, responses)}"
