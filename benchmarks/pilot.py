"""Does a pilot foretell what self-labels do? Its figures and answer beside the run, seed by seed.

For each seed of a preset: `prefopt pilot` of an arm that judges itself, the run of that arm, and
that of the arm it has to beat. What benchmarks/records/ or the store holds is not computed again.
"""

import argparse
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl

from benchmarks.breakeven import over_seeds
from benchmarks.printing import progress, say, section, table
from benchmarks.recorded import Records
from benchmarks.results import run_missing
from flows.pilot import pilot
from flows.verbs.run import changes_of
from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.experiments.grid import Comparison, load_comparison
from prefopt_core.labels.estimates import percent
from prefopt_core.reports.worth import BREAK_EVEN, answer
from prefopt_core.store.store import Store

SAYS = {"try": "worth a try", "spend": "spend on labels or steps", "unsure": "cannot tell"}
HEADER = ("seed", "pilot: judge right", "answer", "run: right", "gold score gained", "win rate")


@dataclass(frozen=True)
class Ran:
    """What the run of a seed came to.

    Attributes:
        right: Share of the first self-labelled round's pairs that are right.
        gold: Mean gold score at the end minus that of the labels alone.
        wins: Win rate over the start policy, minus that of the labels alone.
    """

    right: float
    gold: float
    wins: float


@dataclass(frozen=True)
class Told:
    """What a pilot said: share of pairs in which the judge is right, with its interval."""

    right: float
    low: float
    high: float

    @property
    def answer(self) -> str:
        """In words."""
        return SAYS[answer(self.right, self.low, self.high)]


def main() -> None:
    """Run what is missing, and print a table for each number of labels."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pilot", description=__doc__)
    parser.add_argument("changes", nargs="*", help="SETTING=VALUE, for every arm")
    parser.add_argument("--preset", default="presets/breakeven.yaml")
    parser.add_argument("--arm", default="judged by itself", help="whose pilot it is")
    parser.add_argument("--alone", default="labels alone", help="the arm that it has to beat")
    parser.add_argument("--labels", nargs="*", type=int, default=[40], help="of each pilot")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    given = parser.parse_args()
    seeds = {"seeds": given.seeds, "first_seed": given.first_seed}
    changes = changes_of(given.changes)
    comparison = load_comparison(given.preset, changes, **seeds)
    both = {arm: comparison.arms[arm] for arm in (given.arm, given.alone)}
    compared = comparison.model_copy(update={"arms": both})
    records = Records.of_preset(given.preset, changes)
    run_missing(compared, records, workers=1)
    figures = records.table([*compared.cells()])
    runs = {seed: _ran(figures, given.arm, given.alone, seed) for seed in comparison.all_seeds()}
    for labels in given.labels:
        told = {
            seed: _told(comparison, given.arm, seed, labels, given.folds)
            for seed in comparison.all_seeds()
        }
        _say(labels, told, runs, given.alone)


def _ran(figures: pl.DataFrame, arm: str, alone: str, seed: int) -> Ran:
    own, other = (figures.filter(arm=name, seed=seed) for name in (arm, alone))
    return Ran(
        right=own.filter(metric="self_label_agreement").sort("round")["value"][0],
        gold=_last(own, "gold_score") - _last(other, "gold_score"),
        wins=_last(own, "win_rate") - _last(other, "win_rate"),
    )


def _last(metrics: pl.DataFrame, name: str) -> float:
    return float(metrics.filter(metric=name).sort("round")["value"][-1])


def _told(comparison: Comparison, arm: str, seed: int, labels: int, folds: int) -> Told:
    config = cast(AlignConfig, comparison.cell(arm, seed).config)
    found: dict[str, Any]
    (found,) = (
        Store.open().read(pilot(config, labels, folds)).filter(metric="judge_right").to_dicts()
    )
    progress(f"seed {seed}: pilot of {labels} labels")
    return Told(found["value"], found["low"], found["high"])


def _say(labels: int, told: dict[int, Told], runs: dict[int, Ran], alone: str) -> None:
    rows = [
        [
            str(seed),
            percent(pilot_.right, pilot_.low, pilot_.high),
            pilot_.answer,
            percent(runs[seed].right),
            f"{runs[seed].gold:+.2f}",
            f"{100 * runs[seed].wins:+.1f}",
        ]
        for seed, pilot_ in told.items()
    ]
    section(f"{labels} labels, rule: {percent(BREAK_EVEN)}", table(HEADER, rows))
    off = np.array([100 * (told[seed].right - runs[seed].right) for seed in told])
    gold = np.array([run.gold for run in runs.values()])
    held = sum(told[seed].low <= runs[seed].right <= told[seed].high for seed in told)
    say(
        f"\nPilot minus run, points: {over_seeds(off)}; its interval holds the run's figure in "
        f"{held} of {len(told)} seeds. Gold score gained over {alone}: {over_seeds(gold)}."
    )


if __name__ == "__main__":
    main()
