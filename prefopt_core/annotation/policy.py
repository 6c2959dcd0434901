"""SPA's direct preference judgment: the policy's own log-probabilities as the judge."""

from collections.abc import Iterator, Sequence

from pydantic import NonNegativeFloat, PositiveFloat

from prefopt_core.annotation.verdicts import by_scores
from prefopt_core.ground.errors import ConfigError
from prefopt_core.implicit_reward import implicit_reward
from prefopt_core.labels.questions import Question, Shown, Verdict


def annotate(
    questions: Sequence[Question],
    *,
    beta: PositiveFloat = 0.1,
    length_penalty: NonNegativeFloat = 0.0,
) -> Iterator[Verdict]:
    """Score by β·(log π(y|x) - log π_init(y|x)), summed over tokens (arXiv:2406.04412).

    Args:
        questions: Responses with their log-probabilities. Without those of a reference model
            (`judge.reference: none`) the score is β·log π(y|x).
        beta: β of DPO: it scales the confidence and leaves the order alone.
        length_penalty: Subtracted per word, against length bias of the judge.
            `pairing.length_penalty` counts characters, as DICE does, and finds how much.

    Raises:
        ConfigError: A response has no log-probability under the policy.
    """
    every = (shown for question in questions for shown in question.responses)
    yield from by_scores(questions, (_score(shown, beta, length_penalty) for shown in every))


def _score(shown: Shown, beta: float, length_penalty: float) -> float:
    if shown.policy_logps is None:
        raise ConfigError(
            "Annotator 'policy' judges by log-probabilities, and this stage has none. Use it "
            "as `judge.annotator`; `annotation.annotator` needs someone else to ask."
        )
    reference = shown.reference_logps or 0.0
    reward = float(implicit_reward(shown.policy_logps, reference, beta=beta))
    return reward - length_penalty * len(shown.text.split())
