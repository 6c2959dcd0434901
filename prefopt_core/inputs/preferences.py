"""Reading a labelled seed: preference pairs from a file with prompt, chosen and rejected (TRL)."""

from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, candidate_id_of, prompt_id_of
from prefopt_core.ground.tables import TABLES
from prefopt_core.inputs.files import Row, columns_of, read_rows
from prefopt_core.inputs.pairs import SIDES, pair_of
from prefopt_core.inputs.responses import check_texts


def read_preferences(path: Path, column: str | None = None) -> pl.DataFrame:
    """Read pairs; chosen and rejected are texts, messages, or conversations with the prompt.

    Args:
        path: .jsonl, .json, .csv or .parquet.
        column: The prompt's column; None: `prompt` or `instruction`.

    Returns:
        Table `preferences`, with round 0, confidence 1 and margin 1.

    Raises:
        DataError: The file cannot be read; a prompt, chosen or rejected is missing or malformed;
            a pair is repeated or of equal texts, or a policy judged it.
    """
    file = read_rows(path)
    named = (column or "prompt", *SIDES)
    check_texts(file, [name for name in named if name in columns_of(file)])
    rows = []
    seen: dict[tuple[str, ...], str] = {}
    refused: list[str] = []
    for row in file:
        try:
            prompt, texts, pair = _read(row, column)
            if pair in seen:
                raise DataError(
                    f"{row.where} repeats the pair of {seen[pair]}. Remove one of them."
                )
        except DataError as error:
            refused.append(str(error))
            continue
        seen[pair] = row.where
        said = [[{"role": "assistant", "content": text}] for text in texts]
        rows.append((pair[0], prompt, *said, *pair[1:], "file", "gold", 1.0, 1.0, 0))
    if refused:
        others = f" {len(refused) - 1} of the {len(file)} rows are refused besides."
        raise DataError(refused[0] + others * (len(refused) > 1))
    return pl.DataFrame(rows, schema=TABLES["preferences"].columns, orient="row")


def _read(row: Row, column: str | None) -> tuple[list[Message], list[str], tuple[str, str, str]]:
    """Prompt, texts and ids of a pair.

    Raises:
        DataError: It is malformed, or a policy judged it.
    """
    _require_given(row)
    prompt, *texts = pair_of(row, column)
    prompt_id = prompt_id_of(prompt)
    chosen, rejected = (candidate_id_of(prompt_id, text) for text in texts)
    if chosen == rejected:
        raise DataError(f"{row.where}: chosen and rejected are the same text. Remove the row.")
    return prompt, texts, (prompt_id, chosen, rejected)


def _require_given(row: Row) -> None:
    """Refuse what `prefopt export` wrote of a policy's own judgments: here they would be labels."""
    ours = {"source", "annotator", "confidence", "round"} <= row.values.keys()
    if ours and row.values["source"] == "self":
        raise DataError(
            f"{row.where}: a policy judged this pair itself ('source' is 'self'); a seed is what "
            "somebody labelled. Remove such rows; or the column `source`, if they are to count as "
            "labels."
        )
