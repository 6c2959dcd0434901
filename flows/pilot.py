"""A pilot: a part of the first round's labels, and how often the judge agrees with them unseen."""

from flows.continuing import inherited, require_new
from flows.parts import part
from flows.prompts import Prompts
from flows.steps import Past, accelerated, held_back, propose, self_judge
from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.labels.asked import Asked
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.training.settings import TrainingConfig
from tasks.annotation import annotate_responses
from tasks.evaluation import gather_prompts
from tasks.inputs import load_prompts
from tasks.models import load_policy
from tasks.pairing import pair_responses
from tasks.pilot import leave_out, measure_agreement, responses_of
from tasks.scoring import score_responses
from tasks.training import train_policy


def pilot(config: AlignConfig, count: int, folds: int) -> Artifact:
    """Begin round 1 as `align` does, with fewer labels; then have each fold of them judged.

    Until the labels, stages are those of `align`, so that it finds their results; the labels are
    the first ones that it would buy, from the same account.

    Args:
        config: Of a run.
        count: Labels to buy.
        folds: Into how many parts the labelled prompts are dealt. A policy that learned from the
            others judges each; a judge that is not the policy learns nothing, and judges all.

    Returns:
        Table `metrics`, see `prefopt_core.evaluation.pilot.agreement`.
    """
    seed, scoring, turn = config.seed, config.scoring, config.rounds[0]
    kept, left = inherited(config)
    policy = kept or load_policy(config.policy, seed)  # π_init
    every = load_prompts(config.prompts, seed)
    require_new(every, config, left)
    prompts = Prompts(config, every, left.prompts, left.held_out)
    with part("round 1", policy):
        fresh = prompts.draw(config.first_prompt(1), turn.prompts, "round 1")
        past = Past(config, [policy], left.labelled, left.embeddings)
        asked = propose(fresh, policy, config, seed, past)
        logps = score_responses(asked, policy, scoring)
        least_sure = config.annotation.first == "least_sure"
        labels = annotate_responses(
            asked,
            config.annotation,
            count,
            seed,
            allowance=config.allowance,
            judgments=self_judge(asked, logps, [policy], [], config) if least_sure else None,
        )
        pairs = pair_responses(
            labels=labels,
            candidates=asked.candidates,
            prompts=asked.prompts,
            logps=logps,
            config=config.pairing,
            round_number=1,
            seed=seed,
        )
    folds = folds if config.judge.annotator == "policy" else 1
    training = _training(config, pairs, count)
    judgments = [
        _judged(pairs, asked, policy, config, training, (fold, folds)) for fold in range(folds)
    ]
    return measure_agreement(pairs, judgments)


def _judged(
    pairs: Artifact,
    asked: Asked[Artifact],
    start: Folder,
    config: AlignConfig,
    training: TrainingConfig,
    place: tuple[int, int],
) -> Artifact:
    """Table `verdicts` on one fold, of a judge that has learned from the others."""
    fold, folds = place
    with part(f"fold {fold + 1}", pairs):
        policies, held_out = [start], list[Artifact]()
        if folds > 1:
            others = leave_out(pairs, fold, folds, config.seed)
            others, held_out = held_back(others, config)
            trained = [start, train_policy([others], start, training, config.seed)]
            policies.append(accelerated(trained, training))
        responses = responses_of(pairs, asked.candidates, fold, folds, config.seed)
        held = Asked(responses, responses, gather_prompts([asked.prompts], responses))
        logps = score_responses(held, policies[-1], config.scoring)
        judgments = self_judge(held, logps, policies, held_out, config)
    assert judgments is not None
    return judgments


def _training(config: AlignConfig, pairs: Artifact, count: int) -> TrainingConfig:
    """That of round 1, with about as many steps: what a policy has learned depends on these.

    Args:
        config: Of a run.
        pairs: Table `preferences` of the pilot's labels; round 1 has more in proportion.
        count: How many labels these were.
    """
    turn = config.rounds[0]
    training = config.training.for_round(1, turn.epochs)
    # While the pilot is only planned, there are no pairs to count: one for each prompt then.
    labelled, more = (labels // config.fewest_labels for labels in (count, turn.labels))  # prompts
    made = pairs.rows if isinstance(pairs, Artifact) else labelled
    expected = made * more / labelled * (1 - config.judge.held_out)
    return training.model_copy(update={"steps": training.steps_on(expected)})
