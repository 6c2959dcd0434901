"""SPA: spread a few labels over many self-generated pairs (arXiv:2406.04412)."""

from flows.parts import part
from flows.prompts import Prompts
from flows.running import run
from flows.scoreboard import Result, Scoreboard
from flows.steps import accelerated, held_back, propose, replayed, self_judge, weighed
from prefopt_core.experiments.flows import SpaConfig
from prefopt_core.store.artifacts import Artifact
from tasks.inputs import load_preferences, load_prompts
from tasks.models import load_policy
from tasks.overlap import overlapping, settled
from tasks.pairing import pair_responses
from tasks.scoring import score_preferences, score_responses
from tasks.training import train_policy


@run("spa")
def spa(config: SpaConfig) -> Result:
    """Train on a labelled seed, then in rounds on what the policy itself prefers."""
    seed, scoring = config.seed, config.scoring
    start = load_policy(config.policy, seed)  # π_init
    given = config.seed_preferences
    labelled = [load_preferences(given)] if given else []  # D_0
    prompts = Prompts(config, load_prompts(config.prompts, seed), used=labelled)
    board = Scoreboard("spa", config, prompts.held_out)
    board.measure(start)
    policies = [start]  # π_init, then π_0, π_1, …
    held_out: list[Artifact] = []  # labelled pairs to calibrate the judge by
    if labelled:
        with part("seed", start, *labelled):
            board.lint(labelled[0])
            labelled[0], held_out = held_back(labelled[0], config)
            pairs = score_preferences(labelled, start, scoring)
            training = config.training.for_round(1, config.seed_epochs)
            policies.append(train_policy([pairs], start, training, seed))
        board.measure(policies[-1], pairs)
    trained = policies[-1:]  # what the policies are without momentum
    for number, turn in enumerate(config.rounds, 1):
        if board.stops():
            break
        policy = policies[-1]
        name = f"round {number}"
        with part(name, policy):
            fresh = prompts.draw(config.first_prompt(number), turn.prompts, name)  # X_t
            with overlapping():
                asked = propose(fresh, policy, config, seed)  # y ~ π_{t-1}
                logps = score_responses(asked, policy, scoring)  # log π_{t-1}
                judgments = self_judge(asked, logps, policies, held_out, config)
            asked, logps, judgments = settled((asked, logps, judgments))
            pairs = pair_responses(
                judgments=judgments,
                candidates=asked.candidates,
                prompts=asked.prompts,
                logps=logps,
                config=config.pairing,
                round_number=number,
                seed=seed,
            )
            pairs = weighed(pairs, judgments, asked, policies, held_out, config)
            board.lint(pairs)
            again = replayed(labelled, pairs, policy, config)
            training = config.training.for_round(number, turn.epochs)
            trained.append(train_policy([pairs, *again], policy, training, seed))
            policies.append(accelerated(trained, training))  # π_t
        board.measure(policies[-1], pairs, judged=asked)
    return board.result()
