"""Implicit reward of a policy, and the Bradley-Terry probability that it prefers a response.

Rafailov et al., "Direct Preference Optimization", arXiv:2305.18290, Section 4; SPA,
arXiv:2406.04412, judges by it.

Notation: π the policy, π_ref the reference model, x a prompt, y a response, β that of DPO.
Every function takes floats, NumPy arrays or tensors of one shape and returns the same.
"""

from prefopt_core.arrays import Real, sigmoid


def implicit_reward(policy_logps: Real, reference_logps: Real, *, beta: float) -> Real:
    """r(x, y) = β·[log π(y|x) - log π_ref(y|x)], up to a term that depends on x alone.

    Args:
        policy_logps: log π(y|x), summed over the tokens of y and its end of sequence, in nats.
        reference_logps: log π_ref(y|x), likewise.
        beta: β > 0; it scales rewards and leaves their order alone.

    Returns:
        Rewards; higher is better, and only differences within one prompt mean anything.
    """
    return beta * (policy_logps - reference_logps)


def preference_probability(rewards: Real, other_rewards: Real) -> Real:
    """Bradley-Terry: P(y ≻ y') = σ(r(x, y) - r(x, y')), for rewards of any size.

    >>> f"{preference_probability(1.0, 0.0):.4f}"
    '0.7311'
    """
    return sigmoid(rewards - other_rewards)
