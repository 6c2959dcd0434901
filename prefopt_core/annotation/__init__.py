"""Annotators: who says how good a response is. One file each; one line in `ANNOTATORS`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prefopt_core.ground.ids import Message
from prefopt_core.ground.registry import Registry


@dataclass(frozen=True)
class Request:
    """One response to judge.

    Attributes:
        prompt: The prompt's messages.
        response: The text to judge.
        policy_logps: Summed log-probability under the current policy, when scored.
        reference_logps: The same under the judge's reference model.
    """

    prompt: Sequence[Message]
    response: str
    policy_logps: float | None = None
    reference_logps: float | None = None


Annotator = Callable[..., Iterator[float | None]]
"""`(requests, *, **params) -> a score per request`, in order, yielded as soon as it is known.

Higher is better; None means the annotator gave no verdict.
"""

ANNOTATORS: Registry[Annotator] = Registry(
    "annotator",
    {
        "function": "prefopt_core.annotation.function:annotate",
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
"""Of the bench worlds: what `params.function` may name in place of a function of the user's."""

__all__ = ["ANNOTATORS", "GOLD_FUNCTIONS", "Annotator", "Request"]
