"""Reading a labelled seed: preference pairs from a file with prompt, chosen and rejected (TRL)."""

from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, candidate_id_of, last_text, prompt_id_of, quoted
from prefopt_core.ground.tables import TABLES
from prefopt_core.inputs.files import Row, is_message, messages_of, prompt_column, read_rows
from prefopt_core.inputs.settings import SeedConfig


def read_preferences(config: SeedConfig) -> pl.DataFrame:
    """Read pairs; chosen and rejected are texts or lists with one assistant message.

    Returns:
        Table `preferences`, with round 0, confidence 1 and margin 1.

    Raises:
        DataError: The file cannot be read; a prompt, chosen or rejected is missing or malformed; or
            a pair is repeated or of equal texts.
    """
    rows = []
    seen: dict[tuple[str, ...], str] = {}
    for row in read_rows(Path(config.path)):
        prompt = messages_of(row, prompt_column(row, config.column))
        prompt_id = prompt_id_of(prompt)
        chosen, rejected = (_response(row, side) for side in ("chosen", "rejected"))
        ids = [candidate_id_of(prompt_id, last_text(r)) for r in (chosen, rejected)]
        if ids[0] == ids[1]:
            raise DataError(f"{row.where}: chosen and rejected are the same text. Remove the row.")
        pair = (prompt_id, *ids)
        if pair in seen:
            raise DataError(f"{row.where} repeats the pair of {seen[pair]}. Remove one of them.")
        seen[pair] = row.where
        rows.append((prompt_id, prompt, chosen, rejected, *ids, "file", "gold", 1.0, 1.0, 0))
    return pl.DataFrame(rows, schema=TABLES["preferences"].columns, orient="row")


def _response(row: Row, side: str) -> list[Message]:
    value = row.values.get(side)
    if isinstance(value, str) and value.strip():
        value = [{"role": "assistant", "content": value}]
    if (
        not isinstance(value, list)
        or len(value) != 1
        or not is_message(value[0])
        or value[0]["role"] != "assistant"
        or not value[0]["content"].strip()
    ):
        raise DataError(
            f"{row.where}: {side!r} is {quoted(value)}; expected a text or a list with one "
            "message of the assistant. Fill it in or remove the row."
        )
    return [{"role": "assistant", "content": value[0]["content"]}]
