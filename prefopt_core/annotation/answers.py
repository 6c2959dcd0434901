"""Answers of an annotator, checked one by one: a verdict each, or an error that says what to do."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.annotation.verdicts import UnusableAnswerError
from prefopt_core.ground.errors import DataError, UserCodeError
from prefopt_core.ground.foreign import cut
from prefopt_core.ground.ids import last_text, quoted
from prefopt_core.labels.holdings import holding_id
from prefopt_core.labels.questions import Question, Verdict

_SILENT = 8
"""So many labels without a verdict at the beginning of a purchase end it."""


def answers(
    questions: Sequence[Question], config: AnnotatorConfig, known: int | None = None
) -> Generator[tuple[Question, Verdict | None]]:
    """Ask an annotator, and check what it says; errors name the question and what to do.

    Close it if not all are taken: the annotator may have requests under way.

    Args:
        questions: What is asked.
        config: The annotator.
        known: How much it had said before; None if nothing that it says is kept after an error.

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
        yield from _each(questions, verdicts, config, known)
    finally:
        if isinstance(verdicts, Generator):
            verdicts.close()


def _each(
    questions: Sequence[Question],
    verdicts: Iterator[Verdict | None],
    config: AnnotatorConfig,
    known: int | None,
) -> Iterator[tuple[Question, Verdict | None]]:
    for number, question in enumerate(questions):
        mend = _mend(config, 0 if known is None else known + number)
        try:
            verdict = next(verdicts)
        except UserCodeError as error:
            raise UserCodeError(f"{error}, asked {_about(question)}. {mend}") from error.__cause__
        except UnusableAnswerError as problem:
            raise DataError(
                f"Annotator {config.annotator!r} gave {problem}. That was {_about(question)}; "
                f"expected a finite number, or None for no verdict. {mend}"
            ) from None
        except StopIteration:
            raise DataError(
                f"Annotator {config.annotator!r} gave {number} verdicts on {len(questions)} "
                f"questions; expected one each, in order. {mend}"
            ) from None
        yield question, _checked(verdict, question, config, mend)


def _checked(
    verdict: Any, question: Question, config: AnnotatorConfig, mend: str
) -> Verdict | None:
    if verdict is None or (isinstance(verdict, Verdict) and verdict.fits(question)):
        return verdict
    raise DataError(
        f"Annotator {config.annotator!r} gave {cut(repr(verdict), 200)}, which is no verdict "
        f"{_about(question)}. Expected a `Verdict` with a score for each response, or a preference "
        f"between two. {mend}"
    )


def _mend(config: AnnotatorConfig, said: int) -> str:
    """What to do after an error, and what becomes of the `said` verdicts that there are."""
    if not said:
        return "Mend the annotator and run the same command again."
    if "function_file" not in config.key_part():
        paid = isinstance(config, AnnotationConfig)
        kept = "The labels bought so far are" if paid else "What it said before is"
        return f"{kept} kept; mend the annotator and run the same command again."
    if not isinstance(config, AnnotationConfig):
        return (
            "Run the same command again: what the function said before is kept while it stays as "
            "it is. Once it is mended, all is asked again."
        )
    who = identity(config)
    return (
        "The labels it gave are kept for the function as it is now; once mended, it would be asked "
        f"again. To keep them, type `prefopt labels name {holding_id(who.name, who.guidelines)} "
        "NAME --yes`, with a name of your choice; then mend it, and run with "
        "`annotation.name=NAME` from now on."
    )


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
