"""Annotators: who gives a response its score. One file each; one line in `ANNOTATORS`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prefopt_core.ground.ids import Message
from prefopt_core.ground.registry import Registry


@dataclass(frozen=True)
class Request:
    """One response to score.

    Attributes:
        prompt: The prompt's messages.
        response: The text to score.
        policy_logps: Summed log-probability of the response under the policy; None if not computed.
        reference_logps: The same under the judge's reference model.
    """

    prompt: Sequence[Message]
    response: str
    policy_logps: float | None = None
    reference_logps: float | None = None


Annotator = Callable[..., Iterator[float | None]]
"""`(requests, *, **params) -> a score per request`, in order, yielded as soon as it is known.

Higher is better; None means that the annotator gave no score.
"""

ANNOTATORS: Registry[Annotator] = Registry(
    "annotator",
    {
        "function": "prefopt_core.annotation.function:annotate",
        "llm-judge": "prefopt_core.annotation.llm_judge:annotate",
        "policy": "prefopt_core.annotation.policy:annotate",
        "replay": "prefopt_core.annotation.replay:annotate",
        "reward-model": "prefopt_core.annotation.reward_model:annotate",
        "simulated": "prefopt_core.annotation.simulated:annotate",
    },
    "prefopt.annotators",
)

GOLD_FUNCTIONS: Registry[Callable[[str, str], float]] = Registry(
    "gold function",
    {
        "helpdesk": "prefopt_core.worlds.helpdesk.oracle:score",
        "helpdesk-impression": "prefopt_core.worlds.helpdesk.oracle:impression",
        "stories": "prefopt_core.worlds.stories.critic:score",
    },
)
"""Scoring functions of the bench worlds, for `params.function` in place of the user's own."""

FORMER_NAMES = {
    "helpdesk": ("helpdesk.oracle:score", "worlds.helpdesk.oracle:score"),
}
"""Gold function → paths in this package by which earlier versions kept its labels."""

__all__ = ["ANNOTATORS", "FORMER_NAMES", "GOLD_FUNCTIONS", "Annotator", "Request"]
