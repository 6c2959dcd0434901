"""SPA: spread a few labels over many self-generated pairs (arXiv:2406.04412)."""

from prefect import flow

from flows.scoreboard import Result, Scoreboard
from prefopt_core.experiments.flows import SpaConfig
from tasks.annotation import judge_responses
from tasks.generation import generate_candidates
from tasks.inputs import load_preferences, load_prompts
from tasks.models import load_policy
from tasks.pairing import pair_responses
from tasks.scoring import score_preferences, score_responses
from tasks.selection import select_responses
from tasks.training import train_policy


@flow(name="spa")
def spa(config: SpaConfig) -> Result:
    """Train on a labelled seed, then in rounds on what the policy itself prefers."""
    seed, scoring = config.seed, config.scoring
    start = load_policy(config.policy, seed)  # π_init
    labelled = load_preferences(config.seed_preferences)  # D_0
    board = Scoreboard("spa", config, load_prompts(config.prompts, seed), used=labelled)
    board.measure(start)
    pairs = score_preferences([labelled], start, scoring)
    training = config.training.for_round(1, config.seed_epochs)
    policy = train_policy([pairs], start, training, seed)  # π_0
    board.measure(policy, pairs)
    policies = [start, policy]
    for number, turn in enumerate(config.rounds, 1):
        if board.stops():
            break
        prompts = board.draw(config.first_prompt(number), turn.prompts, f"round {number}")  # X_t
        responses = generate_candidates(prompts, policy, config.generation, seed)  # y ~ π_{t-1}
        every = select_responses(responses, None, config.selection, seed)
        judged = (every, responses, prompts)
        logps = score_responses(*judged, policy, scoring)  # log π_{t-1}
        reference = config.judge.against(policies)
        initial_logps = (
            score_responses(*judged, reference, scoring) if reference else None
        )  # π_init
        judgments = judge_responses(*judged, logps, initial_logps, config.judge)  # p(y1 ≻ y2 | x)
        pairs = pair_responses(
            None, judgments, responses, prompts, logps, config.pairing, number, seed
        )
        replayed = [score_preferences([labelled], policy, scoring)] if config.replay else []
        training = config.training.for_round(number, turn.epochs)
        policy = train_policy([pairs, *replayed], policy, training, seed)  # π_t
        policies.append(policy)
        board.measure(policy, pairs, judged=judged)
    return board.result()
