"""The joined loop: AEPO chooses what is labelled, SPA spreads the labels over the rest."""

from prefect import flow

from flows.scoreboard import Result, Scoreboard
from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.store.artifacts import Artifact
from tasks.annotation import annotate_responses, judge_responses
from tasks.embedding import embed_candidates
from tasks.generation import generate_candidates
from tasks.inputs import load_prompts
from tasks.models import load_policy
from tasks.pairing import pair_responses
from tasks.scoring import score_preferences, score_responses
from tasks.selection import select_responses
from tasks.training import train_policy


@flow(name="align")
def align(config: AlignConfig) -> Result:
    """In rounds: sample, select, buy a few labels, judge the rest, train."""
    seed, scoring = config.seed, config.scoring
    policy = load_policy(config.policy, seed)  # π_init
    policies = [policy]
    board = Scoreboard("align", config, load_prompts(config.prompts, seed))
    board.measure(policy)
    labelled: list[Artifact] = []  # pairs of rounds that bought labels
    for number, turn in enumerate(config.rounds, 1):
        if board.stops():
            break
        prompts = board.draw(config.first_prompt(number), turn.prompts, f"round {number}")  # X_t
        candidates = generate_candidates(prompts, policy, config.generation, seed)  # N ~ π_{t-1}
        embedding = config.embedding
        embeddings = embed_candidates(candidates, embedding) if embedding else None
        selected = select_responses(candidates, embeddings, config.selection, seed)  # k of N
        logps = score_responses(selected, candidates, prompts, policy, scoring)  # log π_{t-1}
        labels = judgments = judged = None
        if turn.labels:
            labels = annotate_responses(
                selected, candidates, prompts, config.annotation, turn.labels, seed
            )
        if config.judge.can_judge(len(policies)):  # π_init differs from no reference
            judged = (selected, candidates, prompts)
            reference = config.judge.against(policies)  # π_init
            initial_logps = score_responses(*judged, reference, scoring) if reference else None
            judgments = judge_responses(*judged, logps, initial_logps, config.judge)
        pairs = pair_responses(
            labels, judgments, candidates, prompts, logps, config.pairing, number, seed
        )
        replay = labelled if config.replay else []
        replayed = [score_preferences(replay, policy, scoring)] if replay else []
        training = config.training.for_round(max(1, number - 1), turn.epochs)
        policy = train_policy([pairs, *replayed], policy, training, seed)  # π_t, reference π_{t-1}
        policies.append(policy)
        labelled += [pairs] if labels else []
        choice = (selected, candidates, embeddings, prompts)
        board.measure(policy, pairs, labels, judged, choice)
    return board.result()
