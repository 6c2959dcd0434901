"""What an annotator may give as a score: a finite number, or None; else what is to be mended."""

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from prefopt_core.ground.foreign import cut
from prefopt_core.labels.questions import Question, Verdict


class UnusableAnswerError(ValueError):
    """What an annotator gave is no verdict; the message says what it is and what to return."""


def by_scores(questions: Sequence[Question], scores: Iterable[Any]) -> Iterator[Verdict]:
    """Verdicts of an annotator that scores every response by itself, also to compare and to rank.

    Args:
        questions: What is asked.
        scores: One for each response of each question, in order, as `number_in` takes it; None for
            no verdict.

    Raises:
        UnusableAnswerError: A score is no finite number.
    """
    each = iter(scores)
    for question in questions:
        own = list(islice(each, len(question.responses)))
        if len(own) < len(question.responses):
            return
        yield _by_scores(own)


def _by_scores(scores: Sequence[Any]) -> Verdict:
    numbers = [None if score is None else number_in(score) for score in scores]
    given = [number for number in numbers if number is not None]
    if len(given) < len(numbers):
        return Verdict("skipped")
    if len(given) > 1 and len(set(given)) == 1:
        return Verdict("tie")
    return Verdict.scored(*given)


def by_preference(probability: Any) -> Verdict:
    """The verdict of an annotator that says how probable it is that the first response is better.

    Raises:
        UnusableAnswerError: It is no number from 0 to 1.
    """
    if probability is None:
        return Verdict("skipped")
    number = number_in(probability)
    if not 0 <= number <= 1:
        raise UnusableAnswerError(
            f"{number!r}, which is no probability that the first is better: return 0 to 1"
        )
    return Verdict.preferred(number)


def number_in(score: Any) -> float:
    """The number that a score is, of whatever kind: NumPy's, PyTorch's, a Decimal, a Fraction.

    Raises:
        UnusableAnswerError: It is no finite number; the message says what it is and what to return.

    >>> number_in(4), number_in("4")
    Traceback (most recent call last):
    prefopt_core.annotation.verdicts.UnusableAnswerError: '4', which is a text: return float('4')
    """
    if score is None:
        raise UnusableAnswerError("None")
    if _is_truth(score):
        raise UnusableAnswerError(
            f"{score!r}, which is no score: return 1.0 and 0.0 if that is meant"
        )
    if isinstance(score, str | bytes):
        raise UnusableAnswerError(
            f"{cut(repr(score), 60)}, which is a text: return {_as_number(score)}"
        )
    if inspect.iscoroutine(score):
        score.close()
        raise UnusableAnswerError(
            "a coroutine, as the function is `async def`: let a plain function call it by "
            "`asyncio.run(…)`"
        )
    if inspect.isgenerator(score):
        raise UnusableAnswerError("a generator, as of a function with `yield`: `return` one number")
    try:
        number = float(score)
    except (TypeError, ValueError, OverflowError):
        raise UnusableAnswerError(f"{cut(repr(score), 60)}, which is {_kind(score)}") from None
    if not math.isfinite(number):
        raise UnusableAnswerError(f"{score!r}: return None where there is no verdict")
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
