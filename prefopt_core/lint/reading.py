"""Reading pairs that may be bad: what cannot be read is a finding, not the end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.ground.tables import TABLES, empty
from prefopt_core.inputs.files import Row, columns_of, read_rows
from prefopt_core.inputs.pairs import SIDES, pair_of
from prefopt_core.inputs.prompt_columns import PROMPT_COLUMNS
from prefopt_core.inputs.responses import check_texts

_COLUMNS = (
    "prompt_id", "prompt", "chosen", "rejected", "chosen_id", "rejected_id", "annotator", "source",
    "chosen_finished", "rejected_finished",
)  # fmt: skip
_TEXTS = ("prompt", *SIDES)


@dataclass(frozen=True)
class Read:
    """The pairs of a file or table.

    Attributes:
        pairs: Table `preferences`; of a file some of its columns, and `row`: its place, from 0.
        places: What each row of the file is called there; None for tables.
        malformed: (row, why it is no pair) of the others.
        remains: What stands in these: row, prompt, chosen, rejected, as texts; null where nothing
            does.
        verdicts: Table `verdicts`, if that is what was read.
    """

    pairs: pl.DataFrame
    places: Sequence[str] | None = None
    malformed: Sequence[tuple[int, str]] = ()
    remains: pl.DataFrame = field(default_factory=lambda: _remains([]))
    verdicts: pl.DataFrame | None = None

    @property
    def looked_at(self) -> str:
        """How much there is, in words."""
        if self.verdicts is not None:
            return f"{self.verdicts.height:,} verdicts"
        return f"{self.pairs.height:,} pairs"


def of_tables(
    preferences: pl.DataFrame | None = None, verdicts: pl.DataFrame | None = None
) -> Read:
    """Tables of the store, one of the two or both."""
    return Read(empty("preferences") if preferences is None else preferences, verdicts=verdicts)


def read_pairs(path: Path, column: str | None = None) -> Read:
    """Read a file of pairs in one of the layouts of `inputs.pairs`, row by row.

    Args:
        path: .jsonl, .json, .csv or .parquet.
        column: The prompt's column; None: `prompt` or `instruction`.

    Raises:
        DataError: The file cannot be read, or none of its rows is a pair.
    """
    file = read_rows(path)
    named = (column or "prompt", *SIDES)
    check_texts(file, [name for name in named if name in columns_of(file)])
    rows: list[tuple[object, ...]] = []
    malformed: list[tuple[int, str]] = []
    remains: list[tuple[object, ...]] = []
    for number, row in enumerate(file):
        try:
            prompt, *texts = pair_of(row, column)
        except DataError as error:
            malformed.append((number, str(error).removeprefix(f"{path}, ")))
            remains.append((number, *_texts_in(row, column)))
            continue
        prompt_id = prompt_id_of(prompt)
        ids = [candidate_id_of(prompt_id, text) for text in texts]
        said = [[{"role": "assistant", "content": text}] for text in texts]
        annotator = str(row.values.get("annotator") or path.name)
        # As `export` writes them.
        source = "self" if row.values.get("source") == "self" else "gold"
        told = (row.values.get(f"{side}_finished") for side in SIDES)
        finished = (value if isinstance(value, bool) else None for value in told)
        rows.append((number, prompt_id, prompt, *said, *ids, annotator, source, *finished))
    if not rows:
        raise DataError(f"{path}: none of its {len(file)} rows is a pair. {malformed[0][1]}")
    contract = TABLES["preferences"]
    columns = {**contract.columns, **contract.optional}
    schema = {"row": pl.Int64()} | {name: columns[name] for name in _COLUMNS}
    places = [row.where.removeprefix(f"{path}, ") for row in file]
    pairs = pl.DataFrame(rows, schema=schema, orient="row")
    return Read(pairs, places, malformed, _remains(remains))


def _texts_in(row: Row, column: str | None) -> list[str | None]:
    """What a row has in the place of prompt, chosen and rejected: a text as it is, else as JSON."""
    asked = next((name for name in (column, *PROMPT_COLUMNS) if name in row.values), None)
    found = [row.values.get(name or "") for name in (asked, *SIDES)]
    return [
        value if value is None or isinstance(value, str) else json.dumps(value, default=str)
        for value in found
    ]


def _remains(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    schema = {"row": pl.Int64()} | dict.fromkeys(_TEXTS, pl.String())
    return pl.DataFrame(rows, schema=schema, orient="row")
