"""Reading what a policy answered from a file: one response or more to each prompt."""

from pathlib import Path

import polars as pl

from prefopt_core.ground.ids import candidate_id_of
from prefopt_core.ground.tables import TABLES
from prefopt_core.inputs.candidates import read_candidates
from prefopt_core.inputs.files import columns_of, read_rows
from prefopt_core.inputs.responses import LIST, ONE

OUTPUT = "output"
"""The response in the files of alpaca_eval."""


def response_column(path: Path) -> list[str] | None:
    """`output` if the file has that and no column of ours; else None: the columns tell.

    Raises:
        DataError: The file cannot be read.
    """
    columns = columns_of(read_rows(path))
    return [OUTPUT] if OUTPUT in columns and not {ONE, LIST} & {*columns} else None


def read_answers(path: Path) -> pl.DataFrame:
    """Read responses as `read_candidates` does; an empty one is an answer, too.

    Args:
        path: .jsonl, .json, .csv or .parquet.

    Returns:
        Table `candidates`, in the order of the file.

    Raises:
        DataError: The file cannot be read, has no column with prompts, it is not certain which
            columns are responses, or a response is not a text.
    """
    given = read_candidates(path, None, "keep", response_column(path))
    rows = [
        {
            "prompt_id": prompt_id,
            "candidate_id": candidate_id_of(prompt_id, one.text),
            "sample": sample,
            "response": one.text,
            "policy": one.writer,
            "finish_reason": "given",
        }
        for prompt_id, responses in given.items()
        for sample, one in enumerate(responses)
    ]
    columns = TABLES["candidates"].columns
    whole = [{**dict.fromkeys(columns), **row} for row in rows]
    return pl.DataFrame(whole, schema=columns)
