"""Losses of direct preference optimisation, one value per pair.

Notation: B pairs; π the policy, π_ref the reference model; y_w the chosen and y_l the rejected
response; Δ = [log π(y_w) - log π_ref(y_w)] - [log π(y_l) - log π_ref(y_l)] in nats, the margin; σ
the logistic function.
Every argument is a (B,) array of log-probabilities, summed over the tokens of a response and its
end of sequence unless said otherwise.

NumPy in, NumPy out; tensors in, tensors out. Lower is better; the loss of a batch is the mean.
Smoothed losses are computed as εr - log σ(r), which is -(1 - ε)·log σ(r) - ε·log σ(-r) since
log σ(r) - log σ(-r) = r.
"""

from prefopt_core.arrays import Array, log_sigmoid


def dpo(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    *,
    beta: float,
) -> Array:
    """Direct preference optimisation, arXiv:2305.18290, Eq. 7.

        -log σ(β·Δ)

    Args:
        policy_chosen_logps: (B,).
        policy_rejected_logps: (B,).
        reference_chosen_logps: (B,).
        reference_rejected_logps: (B,).
        beta: β > 0, how close to the reference model the policy stays.

    Returns:
        (B,) losses; log 2 where the policy equals the reference model.
    """
    chosen_logratios = policy_chosen_logps - reference_chosen_logps
    rejected_logratios = policy_rejected_logps - reference_rejected_logps
    return -log_sigmoid(beta * (chosen_logratios - rejected_logratios))


def cdpo(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    *,
    beta: float,
    label_smoothing: float | Array,
) -> Array:
    """Conservative DPO: every label is wrong with probability ε (ericmitchell.ai/cdpo.pdf).

        -(1 - ε)·log σ(β·Δ) - ε·log σ(-β·Δ),    ε = label_smoothing in [0, 0.5]

    Minimal where σ(β·Δ) = 1 - ε: unlike DPO it stops pushing. ε is one for all pairs, or (B,): then
    1 - ε is a soft label, P(chosen better than rejected) of each; above ½, ε turns the label.
    Arguments and result as in `dpo`.
    """
    chosen_logratios = policy_chosen_logps - reference_chosen_logps
    rejected_logratios = policy_rejected_logps - reference_rejected_logps
    reward_margins = beta * (chosen_logratios - rejected_logratios)
    return label_smoothing * reward_margins - log_sigmoid(reward_margins)


def noise_aware_dpo(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    flagged: Array,
    *,
    beta: float,
    alpha: float,
) -> Array:
    """SPA's self-refinement: conservative on the pairs whose label looks wrong, arXiv:2406.04412.

        -(1 - α·z)·log σ(β·Δ) - α·z·log σ(-β·Δ)

    Args:
        policy_chosen_logps: (B,).
        policy_rejected_logps: (B,).
        reference_chosen_logps: (B,).
        reference_rejected_logps: (B,).
        flagged: (B,), z = 1 where the label is held to be wrong, else 0 (see `noise.py`). A
            constant: no gradient flows through the detection.
        beta: β > 0.
        alpha: α in [0, 1], the share of a flagged pair's label that is turned round; at 0 the
            loss is `dpo`, at 0.5 a flagged pair is a draw.

    Returns:
        (B,) losses.
    """
    chosen_logratios = policy_chosen_logps - reference_chosen_logps
    rejected_logratios = policy_rejected_logps - reference_rejected_logps
    reward_margins = beta * (chosen_logratios - rejected_logratios)
    return alpha * (flagged * reward_margins) - log_sigmoid(reward_margins)


def rdpo(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    *,
    beta: float,
    label_smoothing: float,
) -> Array:
    """Robust DPO: unbiased when labels are flipped with probability ε, arXiv:2403.00409.

        [-(1 - ε)·log σ(β·Δ) + ε·log σ(-β·Δ)] / (1 - 2ε),    ε = label_smoothing in [0, 0.5)

    Averaged over flips its expectation is the DPO loss of the true labels, so it may be negative.
    TRL calls it `robust`. Arguments and result as in `dpo`.
    """
    chosen_logratios = policy_chosen_logps - reference_chosen_logps
    rejected_logratios = policy_rejected_logps - reference_rejected_logps
    reward_margins = beta * (chosen_logratios - rejected_logratios)
    weight = -label_smoothing / (1 - 2 * label_smoothing)
    return weight * reward_margins - log_sigmoid(reward_margins)


def ipo(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    *,
    beta: float,
) -> Array:
    """Identity preference optimisation: regression to a finite margin, arXiv:2310.12036, Eq. 17.

        (Δ - 1/(2β))²

    The paper writes sums; its authors report results with, and TRL 1.16 uses, the *mean* over a
    response's tokens, so that β does not depend on length. This function uses its arguments as
    they are; `training/objectives.py` passes means.

    Returns:
        (B,) losses; 0 where the margin is 1/(2β).
    """
    chosen_logratios = policy_chosen_logps - reference_chosen_logps
    rejected_logratios = policy_rejected_logps - reference_rejected_logps
    margins = chosen_logratios - rejected_logratios
    return (margins - 1 / (2 * beta)) ** 2


def simpo(
    policy_chosen_logps: Array, policy_rejected_logps: Array, *, beta: float, target_margin: float
) -> Array:
    """Simple preference optimisation: no reference model, arXiv:2405.14734.

        -log σ(β·(log π(y_w)/|y_w| - log π(y_l)/|y_l| - target_margin))

    Args:
        policy_chosen_logps: (B,), *mean* over the tokens of a response.
        policy_rejected_logps: (B,), likewise.
        beta: β > 0; 2 to 10 in the paper, since means are small.
        target_margin: γ/β of the paper, in nats per token.

    Returns:
        (B,) losses.
    """
    return -log_sigmoid(beta * (policy_chosen_logps - policy_rejected_logps - target_margin))


def sppo(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    chosen_win_rates: Array,
    rejected_win_rates: Array,
    *,
    beta: float,
) -> Array:
    """Self-play preference optimisation: regression of log-ratios on win rates, arXiv:2405.00675.

        ½·[(Δ_w - (p_w - ½)/β)² + (Δ_l - (p_l - ½)/β)²],    Δ_w = log π(y_w) - log π_ref(y_w)

    Unlike a margin it tells the chosen response to become likelier by so much, and the rejected one
    less likely. With p_w = 1 and p_l = 0 it is half of `sppo_hard`.

    Args:
        policy_chosen_logps: (B,).
        policy_rejected_logps: (B,).
        reference_chosen_logps: (B,).
        reference_rejected_logps: (B,).
        chosen_win_rates: (B,), p_w in [0, 1]: the mean probability that the chosen response is
            better than one of the K to its prompt, itself included as ½.
        rejected_win_rates: (B,), p_l likewise.
        beta: β = 1/η > 0; 0.001 in the paper.

    Returns:
        (B,) losses; 0 where both log-ratios are what the win rates ask for.
    """
    chosen_logratios = policy_chosen_logps - reference_chosen_logps
    rejected_logratios = policy_rejected_logps - reference_rejected_logps
    chosen_off = chosen_logratios - (chosen_win_rates - 0.5) / beta
    rejected_off = rejected_logratios - (rejected_win_rates - 0.5) / beta
    return (chosen_off**2 + rejected_off**2) / 2


def sppo_hard(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    *,
    beta: float,
) -> Array:
    """SPPO where the chosen response always wins and the rejected one never, as in TRL 1.16.

        (Δ_w - 1/(2β))² + (Δ_l + 1/(2β))²

    Arguments as in `dpo`; notation and result as in `sppo`, but for the factor ½.
    """
    chosen_logratios = policy_chosen_logps - reference_chosen_logps
    rejected_logratios = policy_rejected_logps - reference_rejected_logps
    target = 1 / (2 * beta)
    return (chosen_logratios - target) ** 2 + (rejected_logratios + target) ** 2


def ssapo(
    policy_chosen_logps: Array,
    policy_rejected_logps: Array,
    reference_chosen_logps: Array,
    reference_rejected_logps: Array,
    moved: Array,
    shifts: Array,
    *,
    beta: float,
) -> Array:
    """SSAPO's leader: DPO on the margins that its follower left, arXiv:2502.18099.

        -(1 - s)·log σ(β·Δ) - s·log σ(β·Δ - d)

    Args:
        policy_chosen_logps: (B,).
        policy_rejected_logps: (B,).
        reference_chosen_logps: (B,).
        reference_rejected_logps: (B,).
        moved: (B,), s in [0, 1], the share of a pair that the follower moved, see `follower.py`.
        shifts: (B,), d >= 0, by how much its margin was lowered, in units of β·Δ.
        beta: β > 0.

    Returns:
        (B,) losses; those of `dpo` where nothing was moved.
    """
    chosen_logratios = policy_chosen_logps - reference_chosen_logps
    rejected_logratios = policy_rejected_logps - reference_rejected_logps
    margins = beta * (chosen_logratios - rejected_logratios)
    return -(1 - moved) * log_sigmoid(margins) - moved * log_sigmoid(margins - shifts)
