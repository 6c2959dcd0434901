"""The same number of labels spent in several ways: how many prompts, how many labels of each.

A fixed k takes prompts in random order until the budget is spent. What it buys on average over
all orders is known without drawing one: the share of the prompts it can pay for, times what each
prompt gives. Allocations choose their prompts, so these are certain.

Notation: P prompts, B labels in total, m_p labels of prompt p.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.quality.measures import length_slope, of_labels, select
from benchmarks.quality.recorded_pools import Pool, Prompt
from prefopt_core.labels.budget import allocate
from prefopt_core.selection.aepo import pair_worth
from prefopt_core.selection.gains import coverage_totals, objective_totals, spending_order

FloatArray = npt.NDArray[np.float64]

MOST = 8  # labels that an allocation may spend on one prompt
DRAWS = 10
FIXED: dict[str, tuple[str, int]] = {
    "random, k = 2": ("random", 2),
    "aepo, k = 2": ("aepo λ=1", 2),
    "k_medoids, k = 2": ("k_medoids", 2),
    "aepo, k = 3": ("aepo λ=1", 3),
    "random, k = 4": ("random", 4),
    "aepo, k = 4": ("aepo λ=1", 4),
    "k_medoids, k = 4": ("k_medoids", 4),
    "aepo, k = 8": ("aepo λ=1", 8),
    "west_of_n": ("west_of_n", 0),
}
Totals = Callable[[Prompt, list[int]], FloatArray]


@dataclass(frozen=True)
class Purchase:
    """What B labels buy.

    Attributes:
        scheme: Name of the way to spend them.
        budget: B / P.
        spent: Labels really spent per prompt of the pool.
        share: (P,) how likely each prompt is among those paid for.
        chosen: (P,) score of the chosen if it is.
        margin: (P,) margin if it is.
        controlled: (P,) margin less what the length predicts.
        coverage: (P,) mean cosine of the samples to the nearest labelled response.
    """

    scheme: str
    budget: float
    spent: float
    share: FloatArray
    chosen: FloatArray
    margin: FloatArray
    controlled: FloatArray
    coverage: FloatArray

    def signal(self) -> FloatArray:
        """(P,) margin that each prompt of the pool brings, 0 for those left out."""
        return self.share * self.margin


def by_objective(prompt: Prompt, order: list[int]) -> FloatArray:
    """AEPO's objective of the first m, times m."""
    worth = pair_worth(prompt.similarity, counts=prompt.candidates.counts)
    return objective_totals(worth, order)


def by_coverage(prompt: Prompt, order: list[int]) -> FloatArray:
    """Facility location, counted from nothing: a prompt without labels has none."""
    return coverage_totals(prompt.similarity, order, prompt.candidates.counts)


def by_spread(prompt: Prompt, order: list[int]) -> FloatArray:
    """Facility location beyond that of the best single response."""
    alone = np.average(prompt.similarity, axis=0, weights=prompt.candidates.counts).max()
    return by_coverage(prompt, order) - alone


ALLOCATIONS: dict[str, Totals] = {
    "allocate by objective": by_objective,
    "allocate by spread": by_spread,
    "allocate by coverage": by_coverage,
}


def purchases(pool: Pool, budgets: list[float]) -> list[Purchase]:
    """What every scheme buys for every budget, given in labels per prompt of the pool."""
    slope = length_slope(pool) if pool.scored else 0.0
    found = []
    for scheme, (method, k) in FIXED.items():
        draws = DRAWS if method == "random" else 1
        sets = [[select(p, method, k, d) for d in range(draws)] for p in pool.prompts]
        cost = sum(len(of_prompt[0]) for of_prompt in sets) / len(sets)
        values = np.array([_mean_of(p, s, slope) for p, s in zip(pool.prompts, sets, strict=True)])
        for budget in budgets:
            share = budget / cost
            if share <= 1 + 1e-9:
                everyone = np.full(len(sets), share)
                found.append(Purchase(scheme, budget, budget, everyone, *values.T))
    orders = [_order(prompt) for prompt in pool.prompts]
    for scheme, totals in ALLOCATIONS.items():
        worth = [totals(p, order) for p, order in zip(pool.prompts, orders, strict=True)]
        for budget in budgets:
            labels = allocate(worth, round(budget * len(worth)))
            found.append(_bought(pool, scheme, budget, orders, labels, slope))
    return found


def _order(prompt: Prompt) -> list[int]:
    worth = pair_worth(prompt.similarity, counts=prompt.candidates.counts)
    return spending_order(worth, range(len(prompt)))[:MOST]


def _bought(
    pool: Pool,
    scheme: str,
    budget: float,
    orders: list[list[int]],
    labels: npt.NDArray[np.intp],
    slope: float,
) -> Purchase:
    values = np.zeros((len(orders), 4))
    for row, (prompt, order, m) in enumerate(zip(pool.prompts, orders, labels, strict=True)):
        if m:
            values[row] = _mean_of(prompt, [order[:m]], slope)
    share = (labels > 0).astype(float)
    return Purchase(scheme, budget, labels.mean(), share, *values.T)


def _mean_of(prompt: Prompt, sets: list[list[int]], slope: float) -> list[float]:
    """Chosen, margin, controlled margin and coverage of one prompt, over draws."""
    rows = []
    for selected in sets:
        got = of_labels(prompt, selected, slope)
        counts, nearest = prompt.candidates.counts, prompt.similarity[:, selected].max(axis=1)
        coverage = counts @ nearest / counts.sum()
        rows.append([got["chosen"], got["margin"], got["controlled"], coverage])
    return np.mean(rows, axis=0).tolist()


def labels_by(pool: Pool, budget: float) -> list[tuple[str, str, str]]:
    """How the allocations divide a budget: scheme, labels, number of prompts that get these."""
    orders = [_order(prompt) for prompt in pool.prompts]
    rows = []
    for scheme, totals in ALLOCATIONS.items():
        worth = [totals(p, order) for p, order in zip(pool.prompts, orders, strict=True)]
        labels = allocate(worth, round(budget * len(worth)))
        for m, prompts in zip(*np.unique(labels, return_counts=True), strict=True):
            rows.append((scheme, str(m), str(prompts)))
    return rows
