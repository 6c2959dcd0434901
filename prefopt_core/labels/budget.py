"""The label budget: how many labels each prompt gets, and which responses are labelled.

Labels go to whole prompts in a random order, or, where each further label of a prompt has a known
worth, to where they add most. Let h(m) be the worth of a prompt's first m labels, from m = 2 on, as
one label alone makes no pair (see `selection.gains`). Across prompts, `allocate` maximises

    Σ_p h_p(m_p)    subject to    Σ_p m_p <= B,    m_p = 0 or 2, 3, ..., K_p

a multiple-choice knapsack. Where every h is concave, taking the steepest step first is optimal
(Fox, "Discrete optimization via marginal analysis", 1966); other h are replaced by their least
concave majorant (Sinha and Zoltners, "The multiple-choice knapsack problem", 1979).

Notation: P prompts, K_p the most labels prompt p can take and K the largest of these, B the budget.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import polars as pl

from prefopt_core.arrays import FloatArray, IndexArray
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.randomness import rng_for

LabelsOf = Callable[[str, int], int]
"""(prompt_id, k) → labels that k responses to the prompt take."""

TIE = 1e-12  # totals that differ by less, relative to the largest, are equal


def allocate(totals: Sequence[FloatArray], budget: int) -> IndexArray:
    """Spend at most `budget` labels where they are worth most.

    Steps of the concave majorants are taken steepest first, while they fit; what is left over is
    spent by changes of one prompt, or of two that gain most by their steps, until none gains.
    Labels that would lower the total are not bought, so the budget may not be used up.

    Optimal where all h are concave, that is h(2)/2 >= h(3) - h(2) >= h(4) - h(3) >= ... Elsewhere
    it falls short of the optimum by less than the next step of one prompt's majorant. Ties go to
    the smaller prompt; O(P·K²) time.

    Args:
        totals: P arrays (K_p - 1,): worth of the first 2, ..., K_p labels of each prompt, as
            from `coverage_totals`; an empty one for a prompt that takes none.
        budget: B >= 0.

    Returns:
        (P,) labels, each 0 or 2, ..., K_p, with a sum of at most B.

    Raises:
        ConfigError: The budget is negative.
        DataError: A total is not finite.

    >>> allocate([np.array([0.4, 0.5]), np.array([0.3, 0.5]), np.array([0.1])], 5).tolist()
    [2, 3, 0]
    """
    if budget < 0:
        raise ConfigError(f"A budget of {budget} labels: it must be at least 0. Set `budget`.")
    if not totals:
        return np.zeros(0, dtype=np.intp)
    worth = _table(totals)
    prompt, length = _steps(worth)
    taken = length.cumsum() <= budget
    labels = np.bincount(prompt[taken], weights=length[taken], minlength=len(worth))
    return _improved(worth, labels.astype(np.intp), budget)


def _table(totals: Sequence[FloatArray]) -> FloatArray:
    """(P, K+1) the worth of m labels at column m; -inf where m cannot be."""
    sizes = np.array([len(of_prompt) for of_prompt in totals])
    values = np.concatenate([np.asarray(of_prompt, dtype=np.float64) for of_prompt in totals])
    if not np.isfinite(values).all():
        at = int(np.repeat(np.arange(len(sizes)), sizes)[~np.isfinite(values)][0])
        raise DataError(f"The totals of prompt {at} are {totals[at]}: they must be finite.")
    worth = np.full((len(sizes), max(2, sizes.max() + 1) + 1), -np.inf)
    worth[:, 0] = 0.0
    worth[:, 2:][np.arange(worth.shape[1] - 2) < sizes[:, None]] = values
    return worth


def _steps(worth: FloatArray) -> tuple[IndexArray, IndexArray]:
    """The rising steps of all majorants, steepest first: their prompts and their labels."""
    size = worth.shape[1]
    at = np.zeros(len(worth), dtype=np.intp)
    last = np.full(len(worth), np.inf)
    rows, found = np.arange(len(worth)), []
    while len(rows):
        ahead = np.arange(size) - at[rows, None]
        slopes = np.full(ahead.shape, -np.inf)
        rise = worth[rows] - worth[rows, at[rows]][:, None]
        np.divide(rise, ahead, out=slopes, where=ahead > 0)
        to = slopes.argmax(axis=1)  # the first of equals: short steps leave less over
        # A majorant's slopes fall; rounding must not bring a later step before an earlier one.
        slope = np.minimum(slopes[np.arange(len(rows)), to], last[rows])
        rows, to, slope = rows[slope > 0], to[slope > 0], slope[slope > 0]
        found.append((rows, to - at[rows], slope))
        at[rows], last[rows] = to, slope
    prompt, length, slope = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((prompt, -slope))  # stable: equal steps of a prompt stay in their order
    return prompt[order], length[order]


def _improved(worth: FloatArray, labels: IndexArray, budget: int) -> IndexArray:
    """Change one prompt, or two at once, as long as that gains something and fits."""
    size = worth.shape[1]
    # Labels added to one prompt: 0, 1, -1, 2, ..., so that of equal changes the smallest is first.
    steps = np.array(sorted(range(1 - size, size), key=lambda step: (abs(step), -step)))
    together = steps[:, None] + steps
    tolerance = TIE * np.abs(worth[np.isfinite(worth)]).max()
    padded = np.pad(worth, ((0, 0), (size, size)), constant_values=-np.inf)
    rows = np.arange(len(worth))
    while True:
        reached = padded[rows[:, None], labels[:, None] + size + steps]
        change = reached - worth[rows, labels][:, None]
        gain, who = change.max(axis=0), change.argmax(axis=0)
        who[0] = -1  # step 0 changes no prompt
        apart = (who[:, None] != who) & (together <= budget - labels.sum())
        both = np.where(apart, gain[:, None] + gain, -np.inf)
        first, second = np.unravel_index(both.argmax(), both.shape)
        if both[first, second] <= tolerance:
            return labels
        for move in (first, second):
            if who[move] >= 0:
                labels[who[move]] += steps[move]


def within_budget(
    selections: pl.DataFrame,
    labels: int,
    labels_of: LabelsOf = lambda prompt_id, k: k,
    *,
    seed: int,
    first: Mapping[str, float] = MappingProxyType({}),
) -> pl.DataFrame:
    """The responses to label: whole prompts, in the order drawn from `seed`, or by their gain.

    With a column `gain`, `allocate` says how many labels each prompt gets; they go to its first
    ranks.

    Args:
        selections: Table `selections`.
        labels: The budget.
        labels_of: (prompt_id, k) → labels that k responses to the prompt take; one each, unless
            they are compared or several annotators are asked. A `gain` is of one each.
        seed: Root of the order of the prompts, where there is no `gain`.
        first: prompt_id → a number: prompts with the lowest come first; those without one count as
            0. Equal ones are in the order drawn.

    Returns:
        Rows of `selections` that take at most `labels` labels.

    Raises:
        ConfigError: The budget cannot pay for one prompt (by `gain`: one pair), or no label has a
            positive gain.
    """
    if selections.is_empty():
        return selections
    if "gain" in selections.columns:
        return _by_gain(selections, labels)
    sizes = dict(selections.group_by("prompt_id", maintain_order=True).len().iter_rows())
    draws = {prompt: rng_for(seed, "annotation", prompt).random() for prompt in sizes}
    bought, left = list[str](), labels
    for prompt in sorted(sizes, key=lambda prompt: (first.get(prompt, 0.0), draws[prompt], prompt)):
        wanted = labels_of(prompt, sizes[prompt])
        if wanted > left:
            break
        left -= wanted
        bought.append(prompt)
    if not bought:
        raise ConfigError(
            f"{labels} labels cannot pay for one prompt, of which {sizes[prompt]} responses "
            f"are selected: that takes {wanted}. Raise the budget or lower `selection.k`."
        )
    ranked = selections.sort("rank", maintain_order=True)
    kept = pl.DataFrame({"prompt_id": bought}).join(
        ranked, "prompt_id", maintain_order="left_right"
    )
    return kept.select(selections.columns)


def _by_gain(selections: pl.DataFrame, labels: int) -> pl.DataFrame:
    prompts = (
        selections.sort("rank", maintain_order=True)
        .group_by("prompt_id", maintain_order=True)
        .agg("gain")
    )
    totals = [gains.to_numpy().cumsum()[1:] for gains in prompts["gain"]]
    if labels < 2:
        raise ConfigError(f"{labels} labels cannot pay for a pair. Raise the budget to at least 2.")
    share = prompts.select("prompt_id").with_columns(labels=pl.Series(allocate(totals, labels)))
    kept = selections.join(share, "prompt_id", maintain_order="left")
    kept = kept.filter(pl.col("rank") < pl.col("labels")).drop("labels")
    if kept.is_empty():
        raise ConfigError(
            "No label adds anything by `selection.allocation`. Set it to 'coverage' or 'fixed', or "
            "raise `generation.n`."
        )
    return kept


def check_budget(budget: int, k: int) -> None:
    """Refuse a budget that cannot pay for one prompt.

    Raises:
        ConfigError: `budget` is less than `k`.
    """
    if budget < k:
        raise ConfigError(
            f"budget is {budget}: it cannot pay for the {k} labels of one prompt. Set `budget` to "
            f"at least {k}, or use flow `spa`, which needs only labels you have."
        )
