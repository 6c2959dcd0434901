"""Generator `file`: candidate responses read from a file instead of generated."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from prefopt_core.generation import Response
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Prompt, last_text, quoted
from prefopt_core.ground.registry import InputPath
from prefopt_core.inputs.candidates import Given, read_candidates


@lru_cache(maxsize=1)  # each shard asks for the same file
def _responses_in(
    path: str, changed: int, column: str | None, empty: str
) -> dict[str, list[Given]]:
    return read_candidates(Path(path), column, empty)


def generate(
    prompts: Sequence[Prompt],
    model: Path | None,
    n: int,
    seed: int,
    *,
    path: InputPath,
    column: str | None = None,
    limit: Annotated[int, Field(ge=2)] | None = None,
    empty: Literal["error", "drop", "keep"] = "error",
) -> list[list[Response]]:
    """Read responses from a .jsonl, .csv or .parquet: all of a prompt's, or its first `limit`.

    Args:
        prompts: What is answered.
        model: Not used: nothing is generated.
        n: Not used: `limit` is the setting for that.
        seed: Not used: nothing is drawn.
        path: The .jsonl, .csv or .parquet. The responses stand in the column `response`, one a row;
            or in `responses`, a list a row; or in every column but the prompt's.
        column: The prompt's column; null: `prompt`, else `instruction`.
        limit: Only so many of each prompt's responses, the first of the file; null: all.
        empty: What to do with a response without text: "error" ends the run, "drop" leaves it out,
            "keep" takes it as it is.

    Raises:
        DataError: The file cannot be read, a response is not a text, or a prompt has less than two.
    """
    given = _responses_in(path, Path(path).stat().st_mtime_ns, column, empty)
    responses = []
    for prompt in prompts:
        own = given.get(prompt.prompt_id, [])
        if len(own) < 2:
            where = f" ({own[0].where})" if own else ""
            noun = "response" if len(own) == 1 else "responses"
            raise DataError(
                f"{path} has {len(own)} {noun} to the prompt "
                f"{quoted(last_text(prompt.messages))}{where}; a preference needs at least 2. "
                "Add responses or remove the prompt."
            )
        responses.append(
            [Response(text=g.text, finish_reason="given", writer=g.writer) for g in own[:limit]]
        )
    return responses


def check_generate(*, path: str, column: str | None, empty: str) -> Iterator[str]:
    """Read the candidates before anything runs.

    Raises:
        DataError: As for `generate`, but for prompts with less than two.
    """
    read_candidates(Path(path), column, empty)
    yield from ()
