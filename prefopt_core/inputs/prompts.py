"""Reading prompts from a file or a Hugging Face hub data set; `of_texts` for plain texts."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import polars as pl
from pydantic import PositiveInt

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, last_text, prompt_id_of, quoted
from prefopt_core.ground.registry import InputPath
from prefopt_core.ground.tables import TABLES
from prefopt_core.inputs.files import Row, content_of, is_large, read_rows
from prefopt_core.inputs.messages import conversation
from prefopt_core.inputs.pairs import implicit_prompt, is_implicit
from prefopt_core.inputs.prompt_columns import prompt_column, prompt_of
from prefopt_core.inputs.responses import check_texts

_SIGNS = re.compile(r"[^\w/. -]")

Repeats = Literal["error", "drop"]
"""What to do with a prompt of an earlier row; in a file with a response per row it is no repeat."""


def from_file(
    seed: int,
    *,
    path: InputPath,
    column: str | None = None,
    stratum: str | None = None,
    repeats: Repeats = "error",
    limit: PositiveInt | None = None,
) -> pl.DataFrame:
    """Read a .jsonl, .json, .csv or .parquet with a column `prompt` or `instruction`.

    Args:
        seed: Not used: nothing is drawn.
        path: The .jsonl, .json, .csv or .parquet, a prompt a row: a text, or a list of messages
            that ends with the user's.
        column: The prompt's column; null: `prompt`, else `instruction`.
        stratum: The column with each prompt's stratum, over which `pool` splits its count; null: no
            strata.
        repeats: What to do with a prompt of an earlier row: "error" ends the run, "drop" leaves it
            out. With a column `response` it is no repeat, and the prompt is taken once.
        limit: Take so many distinct prompts, the first; null: all.

    Returns:
        Table `prompts`; with the column stratum if `stratum` names one.

    Raises:
        DataError: The file cannot be read, or a prompt is missing, malformed or repeated.
    """
    file = Path(path)
    if content := content_of(file):  # as its rows, which are read once in a process
        return _made_once(file, content, column, stratum, repeats, limit)
    return _prompts(read_rows(file), column, stratum, repeats, limit)


@lru_cache(maxsize=2)
def _made_once(
    file: Path,
    content: bytes,
    column: str | None,
    stratum: str | None,
    repeats: Repeats,
    limit: int | None,
) -> pl.DataFrame:
    return _prompts(read_rows(file), column, stratum, repeats, limit)


def check_from_file(
    *, path: str, column: str | None, stratum: str | None, repeats: Repeats, limit: int | None
) -> Iterator[str]:
    """Read the prompts before anything runs, unless the file is large: then only see it is there.

    Raises:
        DataError: As for `from_file`.
    """
    file = Path(path)
    if not is_large(file):
        from_file(0, path=path, column=column, stratum=stratum, repeats=repeats, limit=limit)
    yield from ()


def from_hub(
    seed: int,
    *,
    dataset: InputPath,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
    column: str | None = None,
    stratum: str | None = None,
    repeats: Repeats = "error",
    limit: PositiveInt | None = None,
) -> pl.DataFrame:
    """Read a data set of the Hugging Face hub, or a folder that `datasets` can load.

    Args:
        seed: Not used: nothing is drawn.
        dataset: Hub id or folder.
        split: Name of the split, or a slice of it such as `train[:1000]`.
        config: Name of the data set's configuration (subset); null: its default one.
        revision: Branch, tag or commit on the hub; null: the default branch. A commit keeps the
            data from changing.
        column: The prompt's column; null: `prompt`, else `instruction`.
        stratum: The column with each prompt's stratum, over which `pool` splits its count; null: no
            strata.
        repeats: What to do with a prompt of an earlier row: "error" ends the run, "drop" leaves it
            out. With a column `response` it is no repeat, and the prompt is taken once.
        limit: Take so many distinct prompts, the first; null: all.

    Returns:
        Table `prompts`; with the column stratum if `stratum` names one.

    Raises:
        DataError: The data set cannot be loaded, or a prompt is missing, malformed or repeated.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    with _literal(dataset) as place:
        try:
            rows: Iterable[dict[str, Any]] = load_dataset(
                **place, name=config, split=split, revision=revision
            )
        except (OSError, ValueError, DatasetsError) as error:
            raise DataError(
                f"Cannot load split {split!r} of the data set {dataset!r}: "
                f"{error.__cause__ or error} Check the id and the network, or download it and use "
                "`prompts.source: file`."
            ) from error
        named = (Row(f"{dataset}[{split}], row {i}", row) for i, row in enumerate(rows, 1))
        return _prompts(named, column, stratum, repeats, limit)


@contextmanager
def _literal(dataset: str) -> Iterator[dict[str, str]]:
    """Arguments that make `datasets`, which globs, read a folder and no other that its name fits.

    A hub id stays as it is. A folder with signs in its path is mirrored, by links, in one without;
    what `datasets` makes of that is gone afterwards, since no later call could find it.
    """
    if not Path(dataset).is_dir():
        yield {"path": dataset}
        return
    folder = Path(dataset).resolve()
    names = [str(folder), *(str(path) for path in folder.rglob("*"))]
    if not any(_SIGNS.search(name) for name in names):
        yield {"path": str(folder)}
        return
    with TemporaryDirectory() as plain:
        for number, path in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
            inner = path.relative_to(folder).as_posix()
            link = Path(plain, "data", _SIGNS.sub(f"_{number}_", inner))
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        yield {"path": f"{plain}/data", "cache_dir": f"{plain}/cache"}


def of_texts(texts: Iterable[str]) -> pl.DataFrame:
    """Table `prompts` of plain texts, one user message each."""
    messages: list[list[Message]] = [[{"role": "user", "content": text}] for text in texts]
    rows = [(prompt_id_of(m), m) for m in messages]
    return pl.DataFrame(rows, schema=TABLES["prompts"].columns, orient="row")


def _prompts(
    rows: Iterable[Row],
    column: str | None,
    stratum: str | None,
    repeats: Repeats,
    limit: int | None,
) -> pl.DataFrame:
    seen: dict[str, str] = {}
    kinds: dict[type, str] = {}
    prompts: list[tuple[str, list[Message], str | None]] = []
    for row in _without_structures_as_text(rows, column):
        kind, messages = _prompt(row, column)
        kinds.setdefault(kind, row.where)
        if len(kinds) > 1:
            raise DataError(
                f"Prompts are of several kinds: {' and '.join(_kinds(kinds))}. Make them all "
                "texts, or all lists of messages."
            )
        prompt_id = prompt_id_of(messages)
        if prompt_id in seen:
            if repeats == "error" and "response" not in row.values:  # then one row a response
                raise DataError(
                    f"{row.where} repeats the prompt of {seen[prompt_id]}: "
                    f"{quoted(last_text(messages))}. Remove one of them, or set `repeats`, "
                    "beside `path`, to 'drop'."
                )
            continue
        if len(prompts) == limit:
            break
        prompts.append((prompt_id, messages, _stratum(row, stratum)))
        seen[prompt_id] = row.where
    columns = {**TABLES["prompts"].columns, "stratum": pl.String()}
    table = pl.DataFrame(prompts, schema=columns, orient="row")
    return table if stratum else table.drop("stratum")


def _prompt(row: Row, column: str | None) -> tuple[type, list[Message]]:
    """What a prompt is in its file, a text or a list, and its messages."""
    if is_implicit(row, column):
        return list, implicit_prompt(row)
    name = prompt_column(row, column)
    value = row.values[name]
    is_text = isinstance(value, str) and conversation(value, row.cell(name)) is None
    return (str if is_text else list), prompt_of(row, column)


def _without_structures_as_text(rows: Iterable[Row], column: str | None) -> Iterator[Row]:
    rows = iter(rows)
    first = list(islice(rows, 1000))
    if first and not is_implicit(first[0], column):
        check_texts(first, [prompt_column(first[0], column)])
    return chain(first, rows)


def _stratum(row: Row, column: str | None) -> str | None:
    if column is None:
        return None
    if column not in row.values:
        raise DataError(
            f"{row.where}: no column {column!r} with its stratum among "
            f"{', '.join(map(repr, row.values))}. Set `stratum`, beside `path`, to one of them."
        )
    value = row.values[column]
    if value is None or value == "":
        raise DataError(
            f"{row.where}: no stratum in {column!r}. Give every row one, for example 'other'."
        )
    return str(value)


def _kinds(kinds: dict[type, str]) -> list[str]:
    return [
        f"{'a text' if kind is str else 'a list of messages'} ({where})"
        for kind, where in kinds.items()
    ]
