"""Answers of an annotator, checked one by one: a verdict each, or an error that says what to do."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.annotation.verdicts import UnusableAnswerError
from prefopt_core.ground.errors import DataError, UserCodeError
from prefopt_core.ground.foreign import cut
from prefopt_core.ground.ids import last_text, quoted
from prefopt_core.labels.questions import Question, Verdict

_SILENT = 8
"""So many labels without a verdict at the beginning of a purchase end it."""


def answers(
    questions: Sequence[Question], config: AnnotatorConfig
) -> Generator[tuple[Question, Verdict | None]]:
    """Ask an annotator, and check what it says; errors name the question and what to do.

    Close it if not all are taken: the annotator may have requests under way.

    Yields:
        Each question with its verdict; None if it is left for people.

    Raises:
        DataError: The annotator gave something that is no verdict.
        UserCodeError: The annotator raised.
    """
    if not questions:
        return
    verdicts = iter(config.member()(questions))
    try:
        yield from _each(questions, verdicts, config)
    finally:
        if isinstance(verdicts, Generator):
            verdicts.close()


def _each(
    questions: Sequence[Question], verdicts: Iterator[Verdict | None], config: AnnotatorConfig
) -> Iterator[tuple[Question, Verdict | None]]:
    for number, question in enumerate(questions):
        try:
            verdict = next(verdicts)
        except UserCodeError as error:
            raise UserCodeError(
                f"{error}, asked {_about(question)}. {_mend(config)}"
            ) from error.__cause__
        except UnusableAnswerError as problem:
            raise DataError(
                f"Annotator {config.annotator!r} gave {problem}. That was {_about(question)}; "
                f"expected a finite number, or None for no verdict. {_mend(config)}"
            ) from None
        except StopIteration:
            raise DataError(
                f"Annotator {config.annotator!r} gave {number} verdicts on {len(questions)} "
                f"questions; expected one each, in order. {_mend(config)}"
            ) from None
        yield question, _checked(verdict, question, config)


def _checked(verdict: Any, question: Question, config: AnnotatorConfig) -> Verdict | None:
    if verdict is None or (isinstance(verdict, Verdict) and verdict.fits(question)):
        return verdict
    raise DataError(
        f"Annotator {config.annotator!r} gave {cut(repr(verdict), 200)}, which is no verdict "
        f"{_about(question)}. Expected a `Verdict` with a score for each response, or a preference "
        f"between two. {_mend(config)}"
    )


def _mend(config: AnnotatorConfig) -> str:
    """What to do after an error, and what becomes of the labels that were bought before it."""
    if not isinstance(config, AnnotationConfig):
        return "Mend the annotator and run the same command again."
    if config.name is None and "function_file" in config.content():
        return (
            "Labels bought so far are kept for the function as it is now, and its mended self is "
            "another. To keep them: run once more with `annotation.name=NAME`, a name of your "
            "choice, though it ends here again; then mend it, and run with that name from then on."
        )
    return "Labels bought so far are kept; mend the annotator and run the same command again."


def _about(question: Question) -> str:
    responses = " and ".join(quoted(shown.text) for shown in question.responses[:2])
    plural = "s" if len(question.responses) > 1 else ""
    return (
        f"for the response{plural} {responses} to the prompt {quoted(last_text(question.prompt))}"
    )


def stop_if_silent(states: Sequence[str], annotator: str) -> None:
    """End a purchase that brings nothing, before the budget is spent on it.

    Raises:
        DataError: The first `_SILENT` verdicts are all skips or invalid.
    """
    if len(states) == _SILENT and set(states) <= {"skipped", "invalid"}:
        raise DataError(
            f"Annotator {annotator!r} gave no verdict to the first {_SILENT} questions it was "
            "asked. Does it `return` its score, and does it know these texts? These labels are "
            "kept; mend it, or run the same command again if that is right."
        )
