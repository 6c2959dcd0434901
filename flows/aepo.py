"""AEPO: label few responses, chosen to be representative and diverse (arXiv:2405.13541)."""

from prefect import flow

from flows.scoreboard import Result, Scoreboard
from prefopt_core.experiments.flows import AepoConfig
from tasks.annotation import annotate_responses
from tasks.embedding import embed_candidates
from tasks.generation import generate_candidates
from tasks.inputs import load_prompts
from tasks.models import load_policy
from tasks.pairing import pair_responses
from tasks.scoring import score_responses
from tasks.selection import select_responses
from tasks.training import train_policy


@flow(name="aepo")
def aepo(config: AepoConfig) -> Result:
    """Build a preference data set from N responses per prompt, paying for k labels each."""
    seed, budget = config.seed, config.budget
    policy = load_policy(config.policy, seed) if config.policy else None  # π_SFT
    prompts = load_prompts(config.prompts, seed)  # x ∈ D
    board = Scoreboard("aepo", config, prompts)
    board.measure(policy)
    if config.evaluation or config.pool:
        prompts = board.draw(0, None, "training")
    candidates = generate_candidates(prompts, policy, config.generation, seed)  # Y_cand, N each
    embedding = config.embedding
    embeddings = embed_candidates(candidates, embedding) if embedding else None  # u(y, y')
    chosen = select_responses(candidates, embeddings, config.selection, seed)  # Y_ann, k each
    labels = annotate_responses(chosen, candidates, prompts, config.annotation, budget, seed)
    logps = None
    if policy and config.training:
        logps = score_responses(chosen, candidates, prompts, policy, config.scoring)  # log π_ref
    pairs = pair_responses(labels, None, candidates, prompts, logps, config.pairing, 1, seed)
    if policy and config.training:
        policy = train_policy([pairs], policy, config.training, seed)  # π_θ
    board.measure(policy, pairs, labels, choice=(chosen, candidates, embeddings, prompts))
    return board.result()
