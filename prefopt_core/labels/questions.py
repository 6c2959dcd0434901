"""Questions to annotators, and their verdicts.

A question shows a prompt with one response to score, two to compare, or k to rank, in a given
order. A verdict is what one annotator says to it: scores, a preference, or why there is neither.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from prefopt_core.ground.ids import Message, digest_of
from prefopt_core.ground.spending import Usage

Compared = tuple[str, tuple[str, ...]]
"""(prompt_id, candidate ids in alphabetical order): a question, in whatever order it is shown."""

State = Literal["given", "tie", "both_bad", "skipped", "invalid"]
"""given: scores or a preference; tie: as good as each other; both_bad: none is acceptable; skipped:
the annotator passed; invalid: it answered, and not what was asked."""

STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Shown:
    """A response as an annotator sees it.

    Attributes:
        candidate_id: Its id.
        text: What it says.
        policy_logps: Summed log-probability under the policy; None if not computed.
        reference_logps: The same under the judge's reference model.
        writer: Who wrote it: digest of the policy, or a name from the file.
    """

    candidate_id: str
    text: str
    policy_logps: float | None = None
    reference_logps: float | None = None
    writer: str = ""


@dataclass(frozen=True)
class Question:
    """What an annotator is asked: to score one response, compare two, or rank k.

    Attributes:
        prompt_id: Id of the prompt.
        prompt: Its messages.
        responses: In the order shown.
    """

    prompt_id: str
    prompt: Sequence[Message]
    responses: tuple[Shown, ...]

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """(prompt_id, candidate ids in the order shown): the question in the label store."""
        return self.prompt_id, tuple(shown.candidate_id for shown in self.responses)

    @property
    def compared(self) -> Compared:
        """(prompt_id, candidate ids in alphabetical order): the question whatever the order."""
        return compared(*self.key)

    @property
    def question_id(self) -> str:
        """Digest of `key`; the question with another order has another id."""
        return digest_of(self.prompt_id, *self.key[1])

    def turned(self) -> "Question":
        """The same question with the responses in the opposite order."""
        return Question(self.prompt_id, self.prompt, self.responses[::-1])


@dataclass(frozen=True)
class Verdict:
    """What one annotator says to one question.

    Attributes:
        state: Whether it says which is better, or why not. A state is never told by a number.
        scores: One for each response, in the order shown, higher is better; of a ranking, the
            negative ranks. None unless `state` is "given".
        preference: P(first better than second), of two responses; not ½, which is a tie. None
            unless `state` is "given".
        by: The person or model; "" where the annotator is the only one of its name.
        why: Its reason, or the answer that is no verdict.
        usage: What it took.
        seconds: How long a person took; None if not measured.
    """

    state: State
    scores: tuple[float, ...] | None = None
    preference: float | None = None
    by: str = ""
    why: str = ""
    usage: Usage = field(default_factory=Usage)
    seconds: float | None = None

    def __post_init__(self) -> None:
        said = (self.scores is not None) + (self.preference is not None)
        if said != (self.state == "given"):
            raise ValueError(f"a verdict {self.state!r} with {said} of scores and preference")
        if not all(map(math.isfinite, self.scores or ())):
            raise ValueError(f"the scores {self.scores}: one is no finite number")
        if self.preference is not None and (
            not 0 <= self.preference <= 1 or self.preference == 0.5
        ):
            raise ValueError(f"a preference of {self.preference}: of ½ it is a tie")

    @classmethod
    def scored(cls, *scores: float, **more: Any) -> "Verdict":
        """The verdict that gives each response a score.

        >>> Verdict.scored(2.0, 1.0).scores
        (2.0, 1.0)
        """
        return cls("given", scores=scores, **more)

    @classmethod
    def preferred(cls, probability: float, **more: Any) -> "Verdict":
        """The verdict that the first response is better with that probability.

        >>> Verdict.preferred(0.5).state
        'tie'
        """
        if probability == 0.5:
            return cls("tie", **more)
        return cls("given", preference=probability, **more)

    @classmethod
    def ranked(cls, ranks: Sequence[int], **more: Any) -> "Verdict":
        """The verdict that ranks the responses; 1 is the best, equal ranks tie.

        >>> Verdict.ranked([2, 1, 2]).scores
        (-2.0, -1.0, -2.0)
        """
        if len(set(ranks)) == 1:
            return cls("tie", **more)
        return cls("given", scores=tuple(-float(rank) for rank in ranks), **more)

    def probability(self, first: int = 0, second: int = 1) -> float | None:
        """P(first better than second) of two responses; ½ for a tie; None if nothing is said.

        Args:
            first: The place of the one, as shown; of rankings another one may be meant.
            second: Of the other.

        >>> Verdict.preferred(0.9).probability(), Verdict("tie").probability()
        (0.9, 0.5)
        >>> Verdict("both_bad").probability()
        """
        if self.state == "tie":
            return 0.5
        if self.scores is None:
            p = self.preference
            return p if p is None or first < second else 1 - p
        lead = self.scores[first] - self.scores[second]
        return 1.0 if lead > 0 else 0.0 if lead < 0 else 0.5

    def fits(self, question: Question) -> bool:
        """Whether it answers the question: a score a response, a preference between two."""
        size = len(question.responses)
        scores_fit = self.scores is None or len(self.scores) == size
        return scores_fit and (self.preference is None or size == 2)

    def content(self) -> dict[str, Any]:
        """What is said, as it is kept: {}, {"scores": […]} or {"preference": …}."""
        if self.scores is not None:
            return {"scores": list(self.scores)}
        return {} if self.preference is None else {"preference": self.preference}


def verdict_of(state: State, content: Mapping[str, Any], **more: Any) -> Verdict:
    """The verdict whose `content` was kept; `more` are its other attributes."""
    scores = content.get("scores")
    return Verdict(
        state, None if scores is None else tuple(scores), content.get("preference"), **more
    )


def compared(prompt_id: str, responses: Sequence[str]) -> Compared:
    """The question about these responses, whatever their order.

    >>> compared("p", ("b", "a"))
    ('p', ('a', 'b'))
    """
    return prompt_id, tuple(sorted(responses))
