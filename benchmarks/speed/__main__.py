"""How fast is it? Ratios to other ways of doing the same, measured in one run.

Prints the tables behind docs/speed.md and draws its plot. Absolute times hold for one machine
under one load; the jobs of a comparison take turns, so that their ratio holds elsewhere, too.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.comparisons import Row, table
from benchmarks.printing import cores, ending, load, say, section
from benchmarks.speed import growth, million_rows, pairs, parquet_to_parquet, pools, sets
from benchmarks.speed.pool_steps import Steps, mapped, measure
from benchmarks.timing import WALL, threads

QUICK = "QUICK: smaller sizes than the targets are meant for; small pools miss some of them.\n\n"

SECTIONS: dict[str, tuple[str, Callable[[bool, int], list[Row]]]] = {
    "pairs": ("Pairs: k = 2", lambda quick, _: pairs.section(quick)),
    "sets": ("Sets: k = 3…8", lambda quick, _: sets.section(quick)),
    "stage": ("Parquet to Parquet", lambda quick, _: parquet_to_parquet.section(quick)),
    "pools": ("Pools in memory", pools.section),
    "small": ("Small pools in memory", pools.small),
}
"""Name → title, and what measures it: of `--quick` and `--threads`."""


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer, under 90 s")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="sections; no growth, no plot")
    parser.add_argument("--large", action="store_true", help="also 10⁷ rows, without their graph")
    parser.add_argument("--out", type=Path, help="directory of the plot; none drawn if left out")
    parser.add_argument("--threads", type=int, default=1, help="for both sides, pools only")
    arguments = parser.parse_args()
    start = WALL()
    say(f"# Speed\n\n{QUICK if arguments.quick else ''}{surroundings(arguments.threads)}")
    rows = []
    for name in arguments.only or SECTIONS:
        title, of = SECTIONS[name]
        found = of(arguments.quick, arguments.threads)
        section(title, table(found))
        rows += found
    if arguments.only:
        say(ending(WALL() - start))
        return
    million, measured = pool_growth(arguments.quick, arguments.large, arguments.threads)
    if million:
        section("Pools, 10⁶ rows", table(million))
    grown = [
        growth.responses(arguments.quick),
        growth.many_prompts(arguments.quick),
        growth.rows(measured),
    ]
    for one in grown:
        section(f"Growth: {one.title}", growth.table(one))
    if arguments.out:
        growth.plot(grown, arguments.out / "speed-growth.png")
    section("Targets", table([row for row in rows + million if row.target]))
    say(ending(WALL() - start))


def surroundings(workers: int) -> str:
    """What the figures depend on besides the code."""
    return (
        f"{cores()}; BLAS, OpenMP and FAISS on {workers} thread(s) for pools and on "
        f"one for the rest, both sides alike; {load()}. Times are medians of so many rounds, ours "
        "and theirs in turn, after one untimed unless it takes seconds; two numbers of rounds are "
        "ours / theirs. Pairs and sets, on one thread, are timed in CPU seconds. A ratio is "
        "theirs : ours where it says faster, else ours : theirs."
    )


def pool_growth(quick: bool, large: bool, workers: int) -> tuple[list[Row], Sequence[Steps]]:
    """Every step at 10⁴, 10⁵, 10⁶ rows, compared with others at 10⁶."""
    rows: list[Row] = []
    measured = []
    for n in [2_000, 20_000] if quick else [10**4, 10**5, 10**6] + [10**7] * large:
        with mapped(n) as vectors, threads(workers):
            found = measure(vectors, graph=n <= 10**6)
            if n == 10**6:
                rows = million_rows.compare(found)
            measured.append(found)
            found.graph = found.leader_of = None
    return rows, measured


if __name__ == "__main__":
    main()
