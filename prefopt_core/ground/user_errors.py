"""Errors raised in code that is not prefopt's: one sentence with the lines of that code."""

import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from prefopt_core.ground.errors import PrefoptError, UserCodeError
from prefopt_core.ground.foreign import cut
from prefopt_core.ground.user_code import is_installed

_LONGEST = 300
"""Characters of an error's own text that are told."""
_DEEPEST = 3
"""Of the user's lines that an error came through, so many of the last are told."""
_CORE = Path(__file__).parents[1]


@contextmanager
def told(who: str, *others: type[BaseException]) -> Iterator[None]:
    """Turn what code of somebody else's raises into a UserCodeError; `others` are let through.

    Args:
        who: Whose code it is, such as "judge.py:score".
        others: Errors that the caller has words for.

    Raises:
        UserCodeError: Something was raised that is no error of prefopt's.
    """
    known: tuple[type[BaseException], ...] = (PrefoptError, *others)
    try:
        yield
    except known:
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        said = f": {cut(text, _LONGEST)}" if text else ""
        raise UserCodeError(
            f"{who} raised {type(error).__name__}{said} ({_place(error)})"
        ) from error


def blaming(function: Callable[..., Any], who: str) -> Callable[..., Any]:
    """The function of another package, so that its errors are told as its own.

    What it yields, if it does, is passed on as soon as it comes.
    """

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with told(who):
            made = function(*args, **kwargs)
        return _passed_on(made, who) if isinstance(made, Iterator) else made

    return called


def _passed_on(values: Iterator[Any], who: str) -> Iterator[Any]:
    while True:
        with told(who, StopIteration):
            try:
                value = next(values)
            except StopIteration:
                return
        yield value


def _place(error: BaseException) -> str:
    """File, line and code of the user's frames, from the call to where it was raised.

    Of an error without any: the last frame outside of Python's own library.
    """
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not Path(frame.filename).is_relative_to(_CORE)
    ]
    library = sysconfig.get_paths()["stdlib"]
    others = [f for f in frames if not f.filename.startswith((library, "<"))]
    of_users = [f for f in others if not is_installed(Path(f.filename).resolve())]
    shown = of_users[-_DEEPEST:] or (others or frames)[-1:]
    words = dict.fromkeys(map(_in_words, shown))  # a line may call itself, as an expression in it
    return ", then ".join(words) or "in the call itself"


def _in_words(frame: traceback.FrameSummary) -> str:
    code = f": `{frame.line}`" if frame.line else ""
    return f"{frame.filename}, line {frame.lineno}{code}"
