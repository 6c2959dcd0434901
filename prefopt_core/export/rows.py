"""Export selected responses, prompts or rows as a file for people: .csv, .jsonl or .parquet."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from prefopt_core.export.preferences import COLUMNS, as_exported
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.files import write_whole
from prefopt_core.ground.ids import as_texts
from prefopt_core.inputs.formulas import guarded
from prefopt_core.labels.asked import Asked
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store

_PART = 4096
"""Responses whose texts are in memory at once, about, where selected ones are written."""

Parts = Iterable[pl.DataFrame]
"""A table, some rows at a time."""


def require_output(output: Path, file: Path) -> None:
    """Refuse an output with an unknown ending, and one that would replace the input.

    Raises:
        ConfigError: The ending is not .csv, .jsonl or .parquet, or it is `file`.
    """
    if output.resolve() == file.resolve():
        raise ConfigError(f"--output {output} would replace what is read. Give it another name.")
    if output.suffix not in _WRITERS:
        raise ConfigError(f"--output {output} must end in {', '.join(_WRITERS)}.")


def require_room_for(schema: Mapping[str, pl.DataType], file: Path, output: Path) -> None:
    """Refuse a text file for binary columns.

    Raises:
        ConfigError: A column of `file` is binary, and `output` is no .parquet.
    """
    binary = [name for name, kind in schema.items() if kind == pl.Binary]
    if binary and output.suffix != ".parquet":
        raise ConfigError(
            f"--output {output} cannot hold {binary[0]!r} of {file}, which is binary. Write a "
            ".parquet."
        )


def write_rows(rows: pl.DataFrame, output: Path) -> None:
    """Write the rows, whole or not at all; see `write_parts`."""
    write_parts([rows], output)


def write_parts(parts: Parts, output: Path) -> None:
    """Write a table, whole or not at all, of which one part is in memory at a time.

    In a .csv, lists and the like are JSON, and what a spreadsheet would compute is `guarded`. A
    .parquet takes all parts at once.
    """
    write_whole(output, lambda path: _WRITERS[output.suffix](parts, path))


def _write_csv(parts: Parts, path: Path) -> None:
    with path.open("wb") as file:
        for number, rows in enumerate(parts):
            texts = rows.with_columns(
                pl.Series(name, map(_json, rows[name].to_list()), pl.String)
                for name, kind in rows.schema.items()
                if kind.is_nested()
            )
            safe = texts.with_columns(
                pl.col(pl.String).map_elements(guarded, pl.String, skip_nulls=True)
            )
            safe.rename(guarded).write_csv(file, include_header=number == 0)


def _write_jsonl(parts: Parts, path: Path) -> None:
    with path.open("wb") as file:
        for rows in parts:
            rows.write_ndjson(file)


_WRITERS: dict[str, Callable[[Parts, Path], object]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": lambda parts, path: pl.concat(parts).write_parquet(path),
}


def selected_rows(chosen: Asked[pl.DataFrame]) -> pl.DataFrame:
    """The selected responses as texts, one row each; prompts as texts if each is one message.

    Args:
        chosen: Tables `prompts`, `candidates` and `selections`.

    Returns:
        Columns prompt, response, model (who wrote it), rank, representativeness, redundancy,
        prompt_id, candidate_id.
    """
    texts = as_texts(chosen.prompts.select("prompt_id", "prompt"), "prompt")
    distinct = chosen.candidates.unique("candidate_id", keep="first")
    return (
        chosen.selections.join(texts, "prompt_id", maintain_order="left")
        .join(distinct, "candidate_id", maintain_order="left")
        .select(
            "prompt", "response", pl.col("policy").alias("model"), "rank",
            "representativeness", "redundancy", "prompt_id", "candidate_id",
        )
    )  # fmt: skip


def selected_parts(store: Store, chosen: Asked[Artifact]) -> Iterator[pl.DataFrame]:
    """The selected responses as texts for people, some shards at a time."""
    every = chosen.candidates
    prompts, most = store.read(chosen.prompts), max(1, _PART * every.parts // max(1, every.rows))
    for start in range(0, every.parts, most):
        selections, candidates = (
            Artifact(table=table.table, shards=table.shards[start : start + most])
            for table in (chosen.selections, every)
        )
        texts = store.read(candidates, ("candidate_id", "response", "policy"))
        yield selected_rows(Asked(store.read(selections), texts, prompts))


def preference_rows(preferences: pl.DataFrame) -> pl.DataFrame:
    """Pairs for people or for a trainer; messages as texts where each prompt is one message.

    Args:
        preferences: Table `preferences`.

    Returns:
        Columns `export.preferences.COLUMNS`.
    """
    rows = as_exported(preferences).select(COLUMNS)
    if (rows["prompt"].list.len() > 1).any():
        return rows
    for column in ("prompt", "chosen", "rejected"):
        rows = as_texts(rows, column)
    return rows


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)
