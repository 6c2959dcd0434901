"""Steps shared by flows: from `propose` (generate, embed, select) to what a round trains on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.experiments.base import Iterated
from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.labels.asked import Asked, Proposal
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.training.settings import TrainingConfig
from tasks.annotation import calibrate_judge, judge_responses
from tasks.embedding import embed_by_policy, embed_candidates, warn_of_unread
from tasks.estimation import estimate_by_labels, estimate_by_policy
from tasks.generation import generate_candidates
from tasks.pairing import draw_replay, hold_out, note_consistency
from tasks.scoring import mean_logps, score_preferences, score_responses
from tasks.selection import select_pairs, select_responses
from tasks.training import accelerate_policy


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


@dataclass(frozen=True)
class Past:
    """What earlier rounds left, from which rewards can be estimated.

    Attributes:
        config: Its sections `estimation` and `scoring`.
        policies: Those of all rounds so far, the start policy first.
        labelled: Tables `preferences` of rounds that bought labels.
        embeddings: Tables `embeddings` of these rounds.
    """

    config: AlignConfig
    policies: Sequence[Folder]
    labelled: Sequence[Artifact]
    embeddings: Sequence[Artifact]


def propose(
    prompts: Artifact,
    policy: Folder | None,
    config: Proposing,
    seed: int,
    past: Past | None = None,
) -> Proposal[Artifact]:
    """Sample N responses to every prompt, embed them, and select k of them for labels.

    Args:
        prompts: Table `prompts`.
        policy: Samples the responses; None for generators that need none.
        config: Sections `generation`, `embedding` and `selection`.
        seed: Of the run.
        past: What strategies by estimated rewards need; used by no other.

    Returns:
        Tables `prompts`, `candidates`, `selections`, and `embeddings` if there are any.
    """
    candidates = generate_candidates(prompts, policy, config.generation, seed)
    embedding, embeddings = config.embedding, None
    warn_of_unread(candidates, embedding)
    if embedding and embedding.by_policy:
        embeddings = embed_by_policy(candidates, prompts, policy, embedding)
    elif embedding:
        embeddings = embed_candidates(candidates, embedding)
    if past and config.selection.needs_estimates:
        estimates = _estimate(prompts, candidates, embeddings, past)
        selections = select_pairs(candidates, embeddings, estimates, config.selection, seed)
    else:
        selections = select_responses(candidates, embeddings, config.selection, seed)
    return Proposal(selections, candidates, prompts, embeddings)


def _estimate(
    prompts: Artifact, candidates: Artifact, embeddings: Artifact | None, past: Past
) -> Artifact:
    """Table `estimates`: what is believed of the reward of every candidate."""
    config = past.config
    if config.estimation.source == "policy":
        every = Asked(candidates, candidates, prompts)
        now, start = (score_responses(every, past.policies[at], config.scoring) for at in (-1, 0))
        return estimate_by_policy(now, start)
    return estimate_by_labels(
        candidates=candidates,
        embeddings=embeddings,
        preferences=list(past.labelled),
        earlier=list(past.embeddings),
        config=config.estimation,
        seed=config.seed,
    )


def self_judge(
    asked: Asked[Artifact],
    logps: Artifact,
    policies: Sequence[Folder],
    held_out: Sequence[Artifact],
    config: Iterated,
) -> Artifact | None:
    """SPA's direct preference judgment, p(y1 ≻ y2 | x), from how log-probabilities have moved.

    Args:
        asked: The responses to judge.
        logps: Table `logps` of them under the policy, the last of `policies`.
        policies: The policies of all rounds so far, the start policy first.
        held_out: Tables `preferences` of labelled pairs that none of them was trained on, to
            calibrate the judge by.
        config: Its section `judge` names the reference model, or another judge.

    Returns:
        Table `verdicts`; None while the policy is still its own reference model, so that all
        log-probability ratios are 0.
    """
    judge = config.judge
    if not judge.can_judge(len(policies)):
        return None
    *others, _ = judging = judge.judging(policies)
    reference = judge.references(policies)
    if others:
        each = [score_responses(asked, policy, config.scoring) for policy in others]
        logps = mean_logps([*each, logps])
    compared = [score_responses(asked, policy, config.scoring) for policy in reference]
    reference_logps = compared[0] if compared else None
    own = judge_responses(asked, logps, reference_logps, judge, allowance=config.allowance)
    if not held_out:
        return own
    known, start = (
        [score_preferences([*held_out], policy, config.scoring) for policy in those]
        for those in (judging, reference)
    )
    return calibrate_judge(own, asked, known, start, judge)


def held_back(pairs: Artifact, config: Iterated) -> tuple[Artifact, list[Artifact]]:
    """Pairs to train on, and those that no policy is trained on: the judge is calibrated by them.

    Args:
        pairs: Table `preferences` with labelled pairs.
        config: Its section `judge` says how many; without `calibrated` none.
    """
    share, seed = config.judge.held_out, config.seed
    if not share:
        return pairs, []
    return hold_out(pairs, share, "train", seed), [hold_out(pairs, share, "held out", seed)]


def weighed(
    pairs: Artifact,
    judgments: Artifact | None,
    asked: Asked[Artifact],
    policies: Sequence[Folder],
    held_out: Sequence[Artifact],
    config: Iterated,
) -> Artifact:
    """Pairs with how far the policy and the one before rank their responses alike, as CREAM does.

    They stay as they are where the loss does not ask for that, or no policy before could judge.
    """
    before = policies[:-1]
    wanted = judgments is not None and config.training.weighs_judges
    if not (wanted and before and config.judge.can_judge(len(before))):
        return pairs
    logps = score_responses(asked, before[-1], config.scoring)
    return note_consistency(pairs, judgments, self_judge(asked, logps, before, held_out, config))


def replayed(
    labelled: Sequence[Artifact], pairs: Artifact, policy: Folder, config: Iterated
) -> list[Artifact]:
    """Labelled pairs that a round trains on again, scored under its reference model (DICE).

    Args:
        labelled: Tables `preferences`; of these all, or so many as `replay` says.
        pairs: Table `preferences` of the round.
        policy: The policy that the round starts from.
        config: Its settings `replay` and `scoring`.
    """
    again = list(labelled) if config.replay else []
    if again and config.replay is not True:
        again = [draw_replay(again, pairs, config.replay, config.seed)]
    return [score_preferences(again, policy, config.scoring)] if again else []


def accelerated(trained: Sequence[Folder], training: TrainingConfig) -> Folder:
    """The policy of a round: as it was trained or, with `training.momentum`, beyond that.

    Args:
        trained: What the training of each round ended with, the start of the first one before them.
        training: Settings.
    """
    *_, before, now = trained
    return accelerate_policy(now, before, training.momentum) if training.momentum else now
