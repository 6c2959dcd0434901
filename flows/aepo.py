"""AEPO: label few responses, chosen to be representative and diverse (arXiv:2405.13541)."""

from flows.parts import part
from flows.prompts import Prompts
from flows.running import run
from flows.scoreboard import Result, Scoreboard
from flows.steps import accelerated, propose
from prefopt_core.experiments.flows import AepoConfig
from tasks.annotation import annotate_responses
from tasks.inputs import load_prompts
from tasks.models import load_policy
from tasks.overlap import overlapping, settled
from tasks.pairing import pair_responses
from tasks.scoring import score_responses
from tasks.training import train_policy


@run("aepo")
def aepo(config: AepoConfig) -> Result:
    """Build a preference data set from N responses per prompt, paying for k labels each."""
    seed = config.seed
    policy = load_policy(config.policy, seed) if config.policy else None  # π_SFT
    every = load_prompts(config.prompts, seed)
    prompts = Prompts(config, every)
    board = Scoreboard("aepo", config, prompts.held_out)
    board.measure(policy)
    divided = config.evaluation or config.pool
    fresh = prompts.draw(0, None, "training") if divided else every  # x ∈ D
    with part("round 1", fresh):
        logps = None
        with overlapping():
            asked = propose(fresh, policy, config, seed)  # Y_cand, N each; of them Y_ann, k each
            labels = annotate_responses(
                asked, config.annotation, config.budget, seed, allowance=config.allowance
            )
            if policy and config.training:
                logps = score_responses(asked, policy, config.scoring)  # log π_ref
        asked, labels, logps = settled((asked, labels, logps))
        board.labelled(labels, asked.candidates)
        pairs = pair_responses(
            labels=labels,
            candidates=asked.candidates,
            prompts=asked.prompts,
            logps=logps,
            config=config.pairing,
            round_number=1,
            seed=seed,
        )
        board.lint(pairs)
        if policy and config.training:
            trained = train_policy([pairs], policy, config.training, seed)
            policy = accelerated([policy, trained], config.training)  # π_θ
    board.measure(policy, pairs, labels=labels, proposal=asked)
    return board.result()
