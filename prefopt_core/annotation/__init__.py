"""Annotators: who answers questions about responses. One file each; one line in `ANNOTATORS`."""

from collections.abc import Callable, Iterator

from prefopt_core.ground.registry import Registry
from prefopt_core.labels.questions import Verdict

Annotator = Callable[..., Iterator[Verdict | None]]
"""`(questions, *, **params) -> a verdict per question`, in order, yielded as soon as it is known.

None: it comes later, from people; the question is left for them. What is asked depends on two
settings that an annotator may have (see `annotation.asking`): `ask`, without which responses are
scored one by one, and `orders`.
"""

ANNOTATORS: Registry[Annotator] = Registry(
    "annotator",
    {
        "by-writer": "prefopt_core.annotation.by_writer:annotate",
        "function": "prefopt_core.annotation.function:annotate",
        "llm-judge": "prefopt_core.annotation.llm_judge:annotate",
        "llm-judge-local": "prefopt_core.annotation.llm_judge_local:annotate",
        "pair-ranker": "prefopt_core.annotation.pair_ranker:annotate",
        "people": "prefopt_core.annotation.people:annotate",
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
        "smollm": "prefopt_core.worlds.smollm.critic:score",
        "stories": "prefopt_core.worlds.stories.critic:score",
    },
)
"""Scoring functions of the bench worlds, for `params.function` in place of the user's own."""

FORMER_NAMES = {
    "helpdesk": ("helpdesk.oracle:score", "worlds.helpdesk.oracle:score"),
}
"""Gold function → paths in this package by which earlier versions kept its labels."""

__all__ = ["ANNOTATORS", "FORMER_NAMES", "GOLD_FUNCTIONS", "Annotator"]
