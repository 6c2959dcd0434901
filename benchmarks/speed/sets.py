"""Sets of k = 3…8 of N responses: how quickly, and how near the best."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import comb
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.comparisons import Row, faster, figure, verdict
from benchmarks.speed.embeddings import prompts, random_prompts
from benchmarks.speed.published import cosines, published
from benchmarks.timing import CPU, Time, once, threads
from prefopt_core.selection.aepo import aepo_with_bound, objective
from prefopt_core.selection.best_subset import ALWAYS

FloatArray = npt.NDArray[np.float64]

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "aepo.json"
KS = range(3, 9)
NEAR = 1e-3  # of the optimum, on the golden cases
SAME = 1e-9  # objectives this near are equal
KINDS = {"real-like": prompts, "random": random_prompts}


@dataclass(frozen=True)
class Outcome:
    """What both searches found on some prompts; NaN where the optimum is not proved."""

    ours: Time
    theirs: Time
    proved: float  # share of prompts
    exact: FloatArray  # (prompts, 2) ours and theirs at the optimum
    gap: FloatArray  # (prompts, 2) of the way from random to the optimum


def section(quick: bool) -> list[Row]:
    """Compare with the published search on recorded, real-like and random matrices."""
    rows = golden()
    with threads(1):
        for n in (16,) if quick else (16, 32):
            for kind, make in KINDS.items():
                block = make(8 if quick else 40, n, np.random.default_rng(n))
                matrices = [cosines(rows.astype(np.float64)) for rows in block]
                for k in (3, 4, 8) if quick else KS:
                    rows.append(_row(n, k, kind, solve(matrices, k)))
    return rows


def golden() -> list[Row]:
    """Whether the recorded optima are found."""
    cases = json.loads(GOLDEN.read_text())["cases"]
    short, exact = np.zeros(len(cases)), 0
    for number, case in enumerate(cases):
        matrix = np.array(case["matrix"])
        found = aepo_with_bound(matrix, case["k"], diversity_weight=case["lam"])
        value = objective(matrix, np.array([found.members]), case["lam"])[0]
        best = case["optimum_value"]
        short[number] = (best - value) / max(abs(best), SAME)
        exact += value >= best - SAME
    text, worst = f"{exact} of {len(cases)} exact", f"worst {short.max():.1e} below"
    return [figure("golden cases", text, theirs=worst, target="0.1 %", met=short.max() <= NEAR)]


def solve(matrices: list[FloatArray], k: int) -> Outcome:
    """Run both searches on every matrix, taking turns."""
    rng, taken = np.random.default_rng(k), np.zeros((len(matrices), 2))
    proved = np.zeros(len(matrices))
    exact, gap = (np.full((len(matrices), 2), np.nan) for _ in range(2))
    for number, matrix in enumerate(matrices):
        found, ours = once(partial(aepo_with_bound, matrix, k), CPU)
        other, theirs = once(_published(matrix, k, rng), CPU)
        taken[number] = ours.seconds, theirs.seconds
        proved[number] = found.bound <= found.value + SAME
        if proved[number]:
            values = objective(matrix, np.array([found.members, other]), 1.0)
            below = found.value - values  # the mean of all sets is 0 at λ = 1
            exact[number], gap[number] = below <= SAME, below / found.value
    ours, theirs = (Time(float(seconds), len(matrices)) for seconds in np.median(taken, axis=0))
    return Outcome(ours, theirs, float(proved.mean()), exact, gap)


def _published(matrix: FloatArray, k: int, rng: np.random.Generator) -> Callable[[], list[int]]:
    return lambda: published(matrix, k, rng)


def _row(n: int, k: int, kind: str, outcome: Outcome) -> Row:
    """Times, and both searches' quality where the optimum is known."""
    what = f"{k} of {n}, {kind}: time; exact; mean gap"
    row = faster(what, "published search", outcome.ours, outcome.theirs)
    exact, gap = np.nanmean(outcome.exact, axis=0), np.nanmean(outcome.gap, axis=0)
    cells = [
        f"{time}; {e:.0%}; {abs(g):.3f}"
        for time, e, g in zip((row.ours, row.theirs), exact, gap, strict=True)
    ]
    proved = f"{outcome.proved:.0%} proved"
    ours, theirs = f"{cells[0]}; {proved}", cells[1]
    if comb(n, k) > ALWAYS:
        return replace(row, ours=ours, theirs=theirs)
    met = verdict(outcome.proved == 1)
    return replace(row, ours=ours, theirs=theirs, target="all proved", reached=met)
