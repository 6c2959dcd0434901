"""Steps shared by flows: `propose` (generate, embed, select) and `self_judge`."""

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
    """A config with the sections that `propose` needs."""

    @property
    def generation(self) -> GenerationConfig:
        """The generator of candidates."""

    @property
    def embedding(self) -> EmbeddingConfig | None:
        """The embedder; None if the selection needs no embeddings."""

    @property
    def selection(self) -> SelectionConfig:
        """How responses are selected for labels."""


def propose(
    prompts: Artifact, policy: Folder | None, config: Proposing, seed: int
) -> Proposal[Artifact]:
    """Sample N responses to every prompt, embed them, and select k of them for labels.

    Args:
        prompts: Table `prompts`.
        policy: Samples the responses; None for generators that need none.
        config: Sections `generation`, `embedding` and `selection`.
        seed: Of the run.

    Returns:
        Tables `prompts`, `candidates`, `selections`, and `embeddings` if there are any.
    """
    candidates = generate_candidates(prompts, policy, config.generation, seed)
    embedding = config.embedding
    embeddings = embed_candidates(candidates, embedding) if embedding else None
    selections = select_responses(candidates, embeddings, config.selection, seed)
    return Proposal(selections, candidates, prompts, embeddings)


def self_judge(
    asked: Asked[Artifact], logps: Artifact, policies: Sequence[Folder], config: Iterated
) -> Artifact | None:
    """SPA's direct preference judgment, p(y1 ≻ y2 | x), from how log-probabilities have moved.

    Args:
        asked: The responses to judge.
        logps: Table `logps` of them under the policy, the last of `policies`.
        policies: The policies of all rounds so far, the start policy first.
        config: Its section `judge` names the reference model, or another judge.

    Returns:
        Table `verdicts`; None while the policy is still its own reference model, so that all
        log-probability ratios are 0.
    """
    judge = config.judge
    if not judge.can_judge(len(policies)):
        return None
    reference_logps = None
    if judge.annotator == "policy" and judge.reference != "none":
        reference = policies[0 if judge.reference == "initial" else -2]
        reference_logps = score_responses(asked, reference, config.scoring)
    return judge_responses(asked, logps, reference_logps, judge)
