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
from prefopt_core.inputs.files import is_large

MISSING = {"nan", "NaN", "None", "null", "NULL", "<NA>", "N/A", "n/a", "NA", "#N/A"}
"""How programs write a missing value as text."""


def responses_in(
    path: str, column: str | None, empty: str, responses: Sequence[str] | None
) -> dict[str, list[Given]]:
    """What `read_candidates` reads, which is not to be changed; once, until the file changes.

    Raises:
        DataError: As for `read_candidates`.
    """
    file = Path(path)
    changed = file.stat().st_mtime_ns if file.is_file() else 0  # else reading says what is wrong
    return _read_once(file, changed, column, empty, tuple(responses) if responses else None)


@lru_cache(maxsize=1)  # each shard asks for the same file
def _read_once(
    path: Path, changed: int, column: str | None, empty: str, responses: tuple[str, ...] | None
) -> dict[str, list[Given]]:
    return read_candidates(path, column, empty, responses)


def generate(
    prompts: Sequence[Prompt],
    model: Path | None,
    n: int,
    seed: int,
    *,
    path: InputPath,
    column: str | None = None,
    responses: Annotated[list[str], Field(min_length=1)] | None = None,
    limit: Annotated[int, Field(ge=2)] | None = None,
    empty: Literal["error", "drop", "keep"] = "error",
) -> list[list[Response]]:
    """Read responses from a file by its ending: all of a prompt's, or its first `limit`.

    Args:
        prompts: What is answered.
        model: Not used: nothing is generated.
        n: Not used: `limit` is the setting for that.
        seed: Not used: nothing is drawn.
        path: The .jsonl, .json, .csv or .parquet. The responses stand in the column `response`,
            one a row; or in `responses`, a list a row; or in columns that `responses` names.
        column: The prompt's column; null: `prompt`, else `instruction`.
        responses: The columns with responses, in which `*` stands for anything; null: `response`,
            `responses`, or those that only a number or letter tells apart (`0`, `1`, …;
            `response_a`, `response_b`, …).
        limit: Only so many of each prompt's responses, the first of the file; null: all.
        empty: What to do with a response without text: "error" ends the run, "drop" leaves it out,
            "keep" takes it as it is.

    Raises:
        DataError: The file cannot be read, it is not certain which columns are responses, a
            response is not a text, or a prompt has less than two.
    """
    given = responses_in(path, column, empty, responses)
    taken = []
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
        taken.append(
            [Response(text=g.text, finish_reason="given", writer=g.writer) for g in own[:limit]]
        )
    return taken


def check_generate(
    *, path: str, column: str | None, responses: Sequence[str] | None, empty: str
) -> Iterator[str]:
    """Read the candidates before anything runs, unless the file is large; yields doubts.

    Raises:
        DataError: As for `generate`, but for prompts with less than two.
    """
    if is_large(Path(path)):
        return
    given = responses_in(path, column, empty, responses)
    texts = [response.text.strip() for own in given.values() for response in own]
    missing = [text for text in texts if text in MISSING]
    if missing:
        kinds = ", ".join(sorted(set(missing)))
        yield (
            f"{len(missing)} of {len(texts)} responses of {path} are {kinds}, as missing values "
            "are written. Remove them if they are."
        )
