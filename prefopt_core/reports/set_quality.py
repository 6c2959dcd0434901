"""How well some of a prompt's responses stand for all of them.

Notation: N distinct responses to a prompt, k of them in a set S, u the (N, N) cosines of their
embeddings, c how often each was sampled, r the representativeness of each (see `selection.aepo`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
import numpy.typing as npt

from prefopt_core.selection.aepo import redundancy, representativeness
from prefopt_core.selection.similarity import cosine

NEAR = 0.95
"""Cosine from which two responses say nearly the same."""


@dataclass(frozen=True)
class PromptResponses:
    """One prompt's N distinct responses, in the order of their samples.

    Attributes:
        prompt: Its last message.
        responses: N texts.
        counts: (N,) how often each was sampled.
        selected: Places of the selected among the N, in the order in which labels are spent.
        vectors: (N, d) embeddings, or None.
    """

    prompt: str
    responses: list[str]
    counts: npt.NDArray[np.intp]
    selected: list[int]
    vectors: npt.NDArray[np.float32] | None

    @cached_property
    def similarity(self) -> npt.NDArray[np.float64]:
        """The (N, N) matrix u; only where there are embeddings."""
        assert self.vectors is not None
        return cosine(self.vectors)

    def nearest(self, subset: Sequence[int]) -> npt.NDArray[np.float64]:
        """(N,) cosine of every response to the member of `subset` that is most like it."""
        return self.similarity[:, list(subset)].max(axis=1)


@dataclass(frozen=True)
class SetQuality:
    """Measures of one set of responses, or their expectations over random sets of one size.

    Attributes:
        representativeness: Mean cosine of a member to the other samples.
        redundancy: Mean cosine of two members.
        coverage: Mean, over samples, of the cosine to the member most like the sample.
        radius: 1 - the lowest of these cosines; None for random sets (no closed form).
        repeats: Share of the pairs of members with a cosine above `NEAR`.
    """

    representativeness: float
    redundancy: float
    coverage: float
    radius: float | None
    repeats: float

    @property
    def objective(self) -> float:
        """AEPO's f(S) at diversity weight 1."""
        return self.representativeness - self.redundancy


def quality_of(prompt: PromptResponses, subset: Sequence[int]) -> SetQuality:
    """Measure two or more of a prompt's responses, given by their places among the N."""
    u, members = prompt.similarity, np.array(subset)
    nearest = prompt.nearest(subset)
    pairs = u[members][:, members][np.triu_indices(len(members), 1)]
    return SetQuality(
        representativeness=float(representativeness(u, prompt.counts)[members].mean()),
        redundancy=float(redundancy(u, members[None])[0]),
        coverage=float(np.average(nearest, weights=prompt.counts)),
        radius=float(1 - nearest.min()),
        repeats=float((pairs > NEAR).mean()),
    )


def quality_at_random(prompt: PromptResponses, k: int) -> SetQuality:
    """Expected measures of k responses (all, if there are fewer) drawn at random from the N.

    A sample's m-th most similar response is the best of k drawn ones if it is among them and
    none of the m - 1 before it is, so with its cosines in descending order u_(1) … u_(N)

        E[coverage] = Σ_m u_(m) · C(N-m, k-1) / C(N, k)

    Every other measure is a mean over members or pairs, and its expectation the mean over all.
    The objective is 0 where no response repeats, whatever k.
    """
    u, n = prompt.similarity, len(prompt.responses)
    k = min(k, n)
    everything = quality_of(prompt, range(n))
    best = np.array([comb(n - m, k - 1) / comb(n, k) for m in range(1, n + 1)])
    expected = -np.sort(-u, axis=1) @ best
    coverage = float(np.average(expected, weights=prompt.counts))
    return SetQuality(
        everything.representativeness, everything.redundancy, coverage, None, everything.repeats
    )


def aepo_sets(prompt: PromptResponses, most: int) -> dict[int, list[int]]:
    """Sets of 2 to `most` (or N) responses with a high AEPO objective at λ = 1, by their size k.

    The objective is the mean over pairs of w_ij = (r_i + r_j)/2 - u_ij. Sets start from every
    response and its best partner and grow by the response that adds most; for each k the best is
    kept. Exact for k = 2; for larger k close to a search that takes a thousand times longer.
    """
    r = representativeness(prompt.similarity, prompt.counts)
    worth = (r[:, None] + r) / 2 - prompt.similarity
    np.fill_diagonal(worth, -np.inf)  # nothing joins twice
    every = np.arange(len(r))
    sets, gain, total = every[:, None], worth, np.zeros(len(r))
    best = {}
    for k in range(2, min(most, len(r)) + 1):
        added = gain.argmax(axis=1)
        total = total + gain[every, added]
        sets, gain = np.column_stack([sets, added]), gain + worth[added]
        best[k] = sets[total.argmax()].tolist()
    return best


def mean(qualities: Iterable[SetQuality], measure: str) -> float:
    """The mean of one measure over prompts."""
    return float(np.mean([getattr(quality, measure) for quality in qualities]))
