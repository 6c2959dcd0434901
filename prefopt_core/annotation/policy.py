"""SPA's direct preference judgment: the policy's own log-probabilities as the judge."""

from collections.abc import Iterator, Sequence

from pydantic import PositiveFloat

from prefopt_core.annotation import Request
from prefopt_core.errors import ConfigError
from prefopt_core.implicit_reward import implicit_reward


def annotate(requests: Sequence[Request], *, beta: PositiveFloat = 0.1) -> Iterator[float | None]:
    """Score by β·(log π(y|x) - log π_init(y|x)), summed over tokens (arXiv:2406.04412)."""
    for request in requests:
        if request.policy_logps is None or request.reference_logps is None:
            raise ConfigError(
                "Annotator 'policy' judges by log-probabilities, and this stage has none. Use it "
                "as `judge.annotator`; `annotation.annotator` needs someone else to ask."
            )
        yield float(implicit_reward(request.policy_logps, request.reference_logps, beta=beta))
