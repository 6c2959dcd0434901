"""SPIN: learn from labels once, then tell the labelled responses from one's own (2401.01335)."""

from prefect import flow

from flows.scoreboard import Result, Scoreboard
from prefopt_core.experiments.flows import SpinConfig
from tasks.annotation import annotate_responses
from tasks.embedding import embed_candidates
from tasks.generation import generate_candidates
from tasks.inputs import load_prompts
from tasks.models import load_policy
from tasks.pairing import pair_against_own, pair_responses
from tasks.scoring import score_preferences, score_responses
from tasks.selection import select_responses
from tasks.training import train_policy


@flow(name="spin")
def spin(config: SpinConfig) -> Result:
    """Buy labels for as many prompts as the budget pays; then play against oneself."""
    seed, scoring = config.seed, config.scoring
    policy = load_policy(config.policy, seed)
    board = Scoreboard("spin", config, load_prompts(config.prompts, seed))
    board.measure(policy)
    prompts = board.draw(0, config.labelled_prompts, "labels")
    candidates = generate_candidates(prompts, policy, config.generation, seed)
    embeddings = embed_candidates(candidates, config.embedding) if config.embedding else None
    selected = select_responses(candidates, embeddings, config.selection, seed)
    labels = annotate_responses(
        selected, candidates, prompts, config.annotation, config.budget, seed
    )
    logps = score_responses(selected, candidates, prompts, policy, scoring)
    gold = pairs = pair_responses(labels, None, candidates, prompts, logps, config.pairing, 1, seed)
    policy = train_policy([pairs], policy, config.training.for_round(1), seed)
    choice = (selected, candidates, embeddings, prompts)
    board.measure(policy, pairs, labels, choice=choice)
    for number in range(2, config.iterations + 2):
        if board.stops():
            break
        own = generate_candidates(prompts, policy, config.answers, seed)  # y' ~ π_{t-1}
        chosen = score_preferences([gold], policy, scoring)  # log π_{t-1} of the labelled y
        pairs = pair_against_own(chosen, own, number)
        policy = train_policy([pairs], policy, config.training.for_round(number - 1), seed)  # π_t
        board.measure(policy, pairs)
    return board.result()
