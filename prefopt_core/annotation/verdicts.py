"""What an annotator may give: a finite number, or None; of all else, what is to be mended."""

import inspect
import math
from collections.abc import Mapping
from typing import Any


def number_in(score: Any) -> float:
    """The number that a score is, of whatever kind: NumPy's, PyTorch's, a Decimal, a Fraction.

    Raises:
        ValueError: It is no finite number; the message says what it is and what to return.

    >>> number_in(4), number_in("4")
    Traceback (most recent call last):
    ValueError: '4', which is a text: return float('4')
    """
    if score is None:
        raise ValueError("None")
    if _is_truth(score):
        raise ValueError(f"{score!r}, which is no score: return 1.0 and 0.0 if that is meant")
    if isinstance(score, str | bytes):
        raise ValueError(f"{score!r:.60}, which is a text: return {_as_number(score)}")
    if inspect.iscoroutine(score):
        score.close()
        raise ValueError(
            "a coroutine, as the function is `async def`: let a plain function call it by "
            "`asyncio.run(…)`"
        )
    if inspect.isgenerator(score):
        raise ValueError("a generator, as of a function with `yield`: `return` one number")
    try:
        number = float(score)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{score!r:.60}, which is {_kind(score)}") from None
    if not math.isfinite(number):
        raise ValueError(f"{score!r}: return None where there is no verdict")
    return number


def _is_truth(score: Any) -> bool:
    """Whether it is True or False, also of NumPy or PyTorch."""
    return isinstance(score, bool) or "bool" in str(getattr(score, "dtype", ""))


def _as_number(text: str | bytes) -> str:
    try:
        float(text)
    except ValueError:
        return "a number"
    return f"float({text!r})"


def _kind(score: Any) -> str:
    if isinstance(score, Mapping):
        return f"a {type(score).__name__}: return one of its numbers"
    if hasattr(score, "__iter__"):
        return f"a {type(score).__name__}: return one number, such as its mean"
    name = type(score).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}: return a number"
