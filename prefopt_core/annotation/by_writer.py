"""Delta learning's judge: who wrote a response says how good it is (arXiv:2507.06187)."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import quoted
from prefopt_core.labels.questions import Question, Verdict


def _once_each(writers: list[str]) -> list[str]:
    if len(set(writers)) < len(writers):
        raise ValueError("One of them stands there twice, and has one place. Name each once")
    return writers


def annotate(
    questions: Sequence[Question],
    *,
    writers: Annotated[list[str], Field(min_length=2), AfterValidator(_once_each)],
    ask: Literal["rank", "compare"] = "rank",
) -> Iterator[Verdict]:
    """Prefer what a stronger writer wrote; nobody is asked, so nothing is paid.

    Args:
        questions: Responses of writers that a file names: by its column `model`, or by the columns
            in which the responses stand.
        writers: Their names, the strongest first; what one of them wrote is better than all of
            those behind.
        ask: "rank": all selected responses; "compare": two at a time.

    Raises:
        ConfigError: A response is of another writer.
    """
    place = {writer: rank for rank, writer in enumerate(writers, 1)}
    for question in questions:
        unknown = [shown.writer for shown in question.responses if shown.writer not in place]
        if unknown:
            raise ConfigError(
                f"A response is by {quoted(unknown[0])}, which is none of the annotator's writers: "
                f"{', '.join(writers)}. Set `params.writers` to the names in the file of "
                "candidates, the strongest first."
            )
        yield Verdict.ranked([place[shown.writer] for shown in question.responses])
