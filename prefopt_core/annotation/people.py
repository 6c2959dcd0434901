"""People: each question is left for them, and the run goes on when they have answered."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, PositiveInt

from prefopt_core.annotation.asking import Form
from prefopt_core.ground.errors import ConfigError
from prefopt_core.labels.questions import Question, Verdict


def annotate(
    questions: Sequence[Question],
    *,
    ask: Form = "compare",
    people: PositiveInt = 1,
    overlap: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> Iterator[Verdict | None]:
    """Leave the questions for people, who answer them in a browser: `prefopt annotate`.

    Args:
        questions: What they are asked.
        ask: "compare" two responses at a time, "rank" all selected ones, or "score" each.
        people: How many answer what is asked about prompts of the overlap; each answer is a label.
        overlap: Share of the prompts about which several people are asked, so that their agreement
            can be measured.
    """
    yield from (None for _ in questions)


def check_annotate(*, people: int, overlap: float) -> Iterator[str]:
    """See whether several people and the overlap say the same.

    Raises:
        ConfigError: There is one without the other.
    """
    if (people > 1) != (overlap > 0):
        raise ConfigError(
            f"`params.people: {people}` with `params.overlap: {overlap:g}` asks one person about "
            "each prompt. Set both, such as `people: 2` and `overlap: 0.2`, or neither."
        )
    yield from ()
