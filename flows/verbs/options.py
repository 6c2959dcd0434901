"""Options that several verbs take."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token, validators
from pydantic import ValidationError

from prefopt_core.ground.errors import ConfigError, in_words_of
from prefopt_core.ground.settings import problems_of


def _whole(kind: object, tokens: Sequence[Token]) -> int:
    text = tokens[0].value
    try:
        return int(text)  # Cyclopts itself would round 2.5 and accept 0x10
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number.") from None


Whole = Annotated[int, Parameter(converter=_whole)]
"""A whole number, in digits."""

Quiet = Annotated[bool, Parameter(help="no line for each stage: only errors, and what it came to")]
NoServer = Annotated[
    bool, Parameter(help="without Prefect: no server is started, and its pages show nothing")
]
Seed = Annotated[
    Whole, Parameter(help="root of every random choice", validator=validators.Number(gte=0))
]
Output = Annotated[Path | None, Parameter(help="write .csv, .jsonl or .parquet")]


@contextmanager
def as_typed(flags: Mapping[str, str]) -> Iterator[None]:
    """Name settings in errors by the options that were typed for them.

    Args:
        flags: Setting → option.

    Raises:
        PrefoptError: The error that was raised, in these words.
    """
    options = {setting.rpartition(".")[2]: flag for setting, flag in flags.items()}
    try:
        with in_words_of(flags):
            yield
    except ValidationError as error:
        told = [problem.partition(": ") for problem in problems_of(error)]
        raise ConfigError(
            "\n".join(f"{options.get(place, place)}{sign}{what}" for place, sign, what in told)
        ) from error
