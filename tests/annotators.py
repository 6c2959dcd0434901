"""Annotators of the tests' own, by import paths for registries."""

from pathlib import Path
from typing import ClassVar, Literal

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.registry import Registry
from prefopt_core.labels.questions import Verdict


def first_is_better(
    questions,
    *,
    notes: str,
    ask: Literal["score", "compare", "rank"] = "compare",
    orders: Literal["one", "both"] = "both",
    answers: int = 1000,
):
    """Prefer what is shown first, whatever it is; ill after so many answers.

    Args:
        notes: A file that gets the responses of each question, a line each.
        ask: What it is asked.
        orders: In which orders.
        answers: How many it gives.
    """
    for number, question in enumerate(questions):
        if number == answers:
            raise RuntimeError("ill")
        with Path(notes).open("a") as file:
            file.write(" ".join(shown.text for shown in question.responses) + "\n")
        yield Verdict.preferred(0.9, why="It came first.")


def as_written(questions, *, verdict: str):
    """Say the same to every question, as it is written in Python."""
    yield from (eval(verdict) for _ in questions)


class OwnAnnotation(AnnotationConfig):
    """Section `annotation` that knows these annotators."""

    registry: ClassVar = Registry(
        "annotator",
        {
            "as-written": "tests.annotators:as_written",
            "first-is-better": "tests.annotators:first_is_better",
        },
    )
