"""Steps that several flows take: propose responses for labels, let the policy judge the rest."""

from collections.abc import Sequence
from typing import Protocol

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.experiments.flows import Iterated
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.labels.asked import Asked, Proposal
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.store.artifacts import Artifact, Folder
from tasks.annotation import judge_responses
from tasks.embedding import embed_candidates
from tasks.generation import generate_candidates
from tasks.scoring import score_responses
from tasks.selection import select_responses


class Proposing(Protocol):
    """A config with the sections that say how responses are proposed."""

    @property
    def generation(self) -> GenerationConfig:
        """Who writes the candidates."""

    @property
    def embedding(self) -> EmbeddingConfig | None:
        """What they are compared by; None if nothing compares by embeddings."""

    @property
    def selection(self) -> SelectionConfig:
        """Which of them are worth a label."""


def propose(
    prompts: Artifact, policy: Folder | None, config: Proposing, seed: int
) -> Proposal[Artifact]:
    """Sample N responses to every prompt, embed them, and select the k that are worth a label."""
    candidates = generate_candidates(prompts, policy, config.generation, seed)
    embedding = config.embedding
    embeddings = embed_candidates(candidates, embedding) if embedding else None
    selections = select_responses(candidates, embeddings, config.selection, seed)
    return Proposal(prompts, candidates, selections, embeddings)


def self_judge(
    asked: Asked[Artifact], logps: Artifact, policies: Sequence[Folder], config: Iterated
) -> Artifact | None:
    """SPA's direct preference judgment, p(y1 ≻ y2 | x), from how log-probabilities have moved.

    Args:
        asked: The responses to judge.
        logps: Their log-probabilities under the policy, the last of `policies`.
        policies: All so far, the start policy first.
        config: Its section `judge` names the reference model, or another judge.

    Returns:
        Table `annotations`; None while the policy is still its own reference model, and has no
        opinion.
    """
    judge = config.judge
    if not judge.can_judge(len(policies)):
        return None
    reference_logps = None
    if judge.annotator == "policy" and judge.reference != "none":
        reference = policies[0 if judge.reference == "initial" else -2]
        reference_logps = score_responses(asked, reference, config.scoring)
    return judge_responses(asked, logps, reference_logps, judge)
