"""From what accuracy on do judged rounds beat as many steps on the labels alone?

A line through the gains of a seed's arms, by how often their judge is right; over seeds the mean
line, where it crosses 0, and the accuracies at which its t interval holds 0. Then the arm that
judges itself beside that line: errors of a policy are not those of a judge that flips at random.
"""

import argparse

import numpy as np
import polars as pl

from benchmarks.printing import interval, say, section, table
from benchmarks.recorded import Records
from benchmarks.results import run_missing
from flows.verbs.run import changes_of
from prefopt_core.arrays import FloatArray
from prefopt_core.experiments.grid import load_comparison
from prefopt_core.experiments.paired import interval_over_seeds
from prefopt_core.labels.estimates import percent

ACCURACIES = np.linspace(0.5, 1.0, 501)
METRICS = {"gold_score": ("gold score", 1.0), "win_rate": ("win rate, points", 100.0)}


def main() -> None:
    """Run what is missing, and print a table for each metric."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breakeven", description=__doc__)
    parser.add_argument("changes", nargs="*", help="SETTING=VALUE, for every arm")
    parser.add_argument("--preset", default="presets/breakeven.yaml")
    parser.add_argument("--itself", default="judged by itself", help="the arm that judges itself")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    changes = changes_of(given.changes)
    comparison = load_comparison(given.preset, changes, seeds=given.seeds)
    records = Records.of_preset(given.preset, changes)
    run_missing(comparison, records, workers=1)
    figures = records.table([*comparison.cells()])
    wrong = comparison.places()  # arm → share of pairs that its judge flips
    own_right = _of_seeds(figures, given.itself, "self_label_agreement").mean(axis=1)
    for metric, (name, unit) in METRICS.items():
        alone = _of_seeds(figures, comparison.baseline, metric)[:, -1]
        gains = {
            arm: unit * (_of_seeds(figures, arm, metric)[:, -1] - alone)
            for arm in [*wrong, given.itself]
        }
        right = {arm: 1 - share for arm, share in wrong.items()}
        right[given.itself] = float(own_right.mean())
        rows = [[arm, percent(right[arm]), over_seeds(gain)] for arm, gain in gains.items()]
        header = ["arm", "judge right", f"{name} over {comparison.baseline}"]
        section(name, table(header, rows))
        lines = np.polyfit([1 - share for share in wrong.values()],
                           np.array([gains[arm] for arm in wrong]), 1)  # fmt: skip
        say(f"\n{_crossing(lines)}")
        say(f"\n{_beside(lines, own_right, gains[given.itself])}")


def over_seeds(values: FloatArray) -> str:
    """The mean of (S,) values with its t interval over seeds."""
    found = interval_over_seeds(values)
    mean = float(values.mean())
    return interval(mean, *found, "+.2f") if found else f"{mean:+.2f}"


def _of_seeds(figures: pl.DataFrame, arm: str, metric: str) -> FloatArray:
    """(S, R) values of the rounds that have one, in the order of seeds and rounds."""
    own = figures.filter(arm=arm, metric=metric).sort("seed", "round")
    return np.array(
        [rows["value"].to_numpy() for _, rows in own.group_by("seed", maintain_order=True)]
    )


def _crossing(lines: FloatArray) -> str:
    """Where the mean line crosses 0, and the accuracies that cannot be told from that.

    Args:
        lines: (2, S) slope and value at 0 of each seed's line.
    """
    slopes, starts = lines
    gains = starts + slopes * ACCURACIES[:, None]
    ends = [interval_over_seeds(gain) for gain in gains]
    within = [p for p, end in zip(ACCURACIES, ends, strict=True) if end and end[0] <= 0 <= end[1]]
    said = (
        f"Each 10 points of accuracy add {over_seeds(slopes / 10)}. The mean line crosses 0 at "
        f"{percent(-starts.mean() / slopes.mean())}"
    )
    if ends[0] is None:  # of one seed
        return f"{said}."
    held = f"{percent(within[0])} to {percent(within[-1])}" if within else "none"
    return f"{said}; its 95 % interval holds 0 at accuracies, of 50 to 100 %: {held}."


def _beside(lines: FloatArray, right: FloatArray, gain: FloatArray) -> str:
    """How the policy's own judgments do beside flips at the same rate: (S,) shares and gains."""
    slopes, starts = lines
    ahead = gain - (starts + slopes * right)
    at = -(starts.mean() + ahead.mean()) / slopes.mean()
    return (
        f"Judged by itself, right in {percent(right.mean())}: {over_seeds(ahead)} more than flips "
        f"at that rate. A parallel line through it crosses 0 at {percent(at)}."
    )


if __name__ == "__main__":
    main()
