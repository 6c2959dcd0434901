"""SPIN: train on labels once, then on labelled against own responses (arXiv:2401.01335)."""

from flows.parts import part
from flows.prompts import Prompts
from flows.running import run
from flows.scoreboard import Result, Scoreboard
from flows.steps import accelerated, propose
from prefopt_core.experiments.flows import SpinConfig
from tasks.annotation import annotate_responses
from tasks.generation import generate_candidates
from tasks.inputs import load_prompts
from tasks.models import load_policy
from tasks.overlap import overlapping, settled
from tasks.pairing import pair_against_own, pair_responses
from tasks.scoring import score_preferences, score_responses
from tasks.training import train_policy


@run("spin")
def spin(config: SpinConfig) -> Result:
    """Buy labels for as many prompts as the budget pays; then self-play in rounds."""
    seed, scoring = config.seed, config.scoring
    policy = load_policy(config.policy, seed)
    prompts = Prompts(config, load_prompts(config.prompts, seed))
    board = Scoreboard("spin", config, prompts.held_out)
    board.measure(policy)
    with part("round 1", policy):
        fresh = prompts.draw(0, config.labelled_prompts, "labels")
        with overlapping():
            asked = propose(fresh, policy, config, seed)
            labels = annotate_responses(
                asked, config.annotation, config.budget, seed, allowance=config.allowance
            )
            logps = score_responses(asked, policy, scoring)
        asked, labels, logps = settled((asked, labels, logps))
        board.labelled(labels, asked.candidates)
        gold = pair_responses(
            labels=labels,
            candidates=asked.candidates,
            prompts=asked.prompts,
            logps=logps,
            config=config.pairing,
            round_number=1,
            seed=seed,
        )
        board.lint(gold)
        trained = [policy, train_policy([gold], policy, config.training.for_round(1), seed)]
        policy = accelerated(trained, config.training)
    board.measure(policy, gold, labels=labels, proposal=asked)
    for number in range(2, config.iterations + 2):
        if board.stops():
            break
        with part(f"round {number}", policy):
            own = generate_candidates(asked.prompts, policy, config.answers, seed)  # y' ~ π_{t-1}
            rescored = score_preferences([gold], policy, scoring)  # log π_{t-1} of the labelled y
            pairs = pair_against_own(rescored, own, number)
            board.lint(pairs)
            training = config.training.for_round(number - 1)
            trained.append(train_policy([pairs], policy, training, seed))
            policy = accelerated(trained, training)  # π_t
        board.measure(policy, pairs)
    return board.result()
