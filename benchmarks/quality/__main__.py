"""Do the selection strategies do what they are for? On recorded pools with recorded judgments.

Reads pool_alpaca.parquet, pool_oasst.parquet and pool_mqm.parquet in --data, embeds the responses
(cached in the store), prints the tables behind docs/selection.md and draws its plots.
"""

import argparse
from pathlib import Path

import polars as pl

from benchmarks.printing import say, section, table
from benchmarks.quality.budgets import Purchase, labels_by, purchases
from benchmarks.quality.measures import (
    METHODS,
    length_correlation,
    length_slope,
    measure,
    repeat_agreement,
)
from benchmarks.quality.plots import plot_budgets, plot_labels, plot_sets
from benchmarks.quality.pool_strategies import COUNTS, row_table
from benchmarks.quality.recorded_pools import FILES, Pool, judged_twice, load, with_choice
from benchmarks.quality.tables import (
    all_labels,
    budget_table,
    by_prompt,
    label_table,
    seed_table,
    set_table,
)

KS = (2, 3, 4, 8)
SHOWN = (2, 4, 8)
BUDGETS = [0.5, 1.0, 1.5, 2.0, 3.0, 4.0]
TWICE = "pool_alpaca"  # has second judgments of all prompts, for 9 of 32 models


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of the pools")
    parser.add_argument("--out", type=Path, required=True, help="directory of the plots")
    parser.add_argument("--pools", nargs="+", choices=FILES, default=FILES)
    arguments = parser.parse_args()
    measured, bought, units = {}, {}, {}
    for name in arguments.pools:
        whole = load(name, arguments.data)
        pool = with_choice(whole, max(KS))
        kept = f"{len(pool.prompts)} of {len(whole.prompts)} prompts"
        say(f"\n# {pool.name}: {kept} have more than {max(KS)} distinct responses")
        measured[pool.name] = report(pool, SHOWN)
        bought[pool.name] = report_budgets(pool)
        if pool.scored:
            units[pool.name] = pool.unit
            report_judgments(whole)
        for count in COUNTS:
            section(f"{pool.name}: {count} of all responses", row_table(whole, count))
        if name == TWICE:
            report(with_choice(judged_twice(whole), 4), (2, 4))
    plot_sets(measured, KS, arguments.out / "selection-sets.png")
    plot_labels(measured, units, (2, 4), arguments.out / "selection-labels.png")
    plot_budgets(bought, units, arguments.out / "selection-budget.png")


def report(pool: Pool, shown: tuple[int, ...]) -> pl.DataFrame:
    """Print what each method takes and buys at the same k; one row per method, k and prompt."""
    methods = [method for method in METHODS if pool.scored or method != "west_of_n"]
    measured = measure(pool, KS if shown == SHOWN else shown, methods)
    frame = by_prompt(measured)
    for k in shown:
        section(f"{pool.name}: sets of {k}", set_table(frame, k))
    for k in shown if pool.scored else ():
        section(f"{pool.name}: pairs from {k} labels, {pool.unit}", label_table(frame, k))
    if pool.scored:
        section(f"{pool.name}: pairs from all labels", all_labels(frame))
    title = f"{pool.name}: random, standard deviation over seeds"
    section(title, seed_table(measured, shown))
    return frame


def report_budgets(pool: Pool) -> list[Purchase]:
    """Print what the same number of labels buys, spent in different ways."""
    bought = purchases(pool, BUDGETS)
    section(f"{pool.name}: equal budgets", budget_table(bought))
    divided = table(["scheme", "labels", "prompts"], labels_by(pool, 2.0))
    section(f"{pool.name}: how allocations divide 2 labels per prompt", divided)
    return bought


def report_judgments(pool: Pool) -> None:
    """Print how much the judgments depend on length, and how far they can be trusted."""
    agreed, pairs = repeat_agreement(pool)
    lines = [
        f"correlation with log length, within prompts: {length_correlation(pool):.2f}",
        f"{pool.unit} per unit of log length: {length_slope(pool):.2f}",
        f"second judgments order {agreed:.1%} of {pairs} pairs alike that the first tells apart",
    ]
    section(f"{pool.name}: judgments", "\n".join(lines))


if __name__ == "__main__":
    main()
