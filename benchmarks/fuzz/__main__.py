"""What readers do with broken input: `python -m benchmarks.fuzz --inputs 1000000`.

Each input is made from good ones by a seed, the reader's name and its number, so that every finding
can be had again: `--reader NAME --first NUMBER --inputs 1`. An input may be read, or refused by an
error of prefopt's that is short enough to be read; another exception, five seconds, a
gigabyte more memory than before, or the end of the process is a finding. The exit status is 1 if
there is one.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.fuzz.readers import readers
from benchmarks.fuzz.trying import MEMORY, Outcome, campaign, input_of
from benchmarks.printing import progress, say, table


def main() -> int:
    """Try all readers, or one; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=50_000, help="over all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each")
    parser.add_argument("--reader", action="append", help="only this one; may be repeated")
    parser.add_argument("--show", action="store_true", help="print the inputs, and read nothing")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        known = readers(Path(folder))
    names = told.reader or list(known)
    each = max(1, told.inputs // len(names))
    if told.show:
        numbers = range(told.first, told.first + each)
        say("\n".join(repr(input_of(known[n], n, told.seed, i)) for n in names for i in numbers))
        return 0
    rows, total = [], Outcome()
    for name in names:
        outcome = campaign(name, told.seed, told.first, told.first + each)
        rows.append(_row(name, outcome))
        total.add(outcome)
        progress(" · ".join(rows[-1]))
        for number, what in outcome.kinds():
            progress(f"    input {number}: {what}")
    header = ["reader", "inputs", "read", "clear error", "other", "inputs/s", "slowest, ms"]
    say(table(header, [*rows, _row("all", total)], figures=True))
    return int(bool(total.findings))


def _row(name: str, outcome: Outcome) -> list[str]:
    counts = outcome.counts
    figures = [counts.total(), counts["read"], counts["refused"], counts["other"]]
    speed = counts.total() / max(outcome.seconds, 1e-9)
    return [name, *map(str, figures), f"{speed:.0f}", f"{outcome.slowest * 1e3:.0f}"]


if __name__ == "__main__":
    sys.exit(main())
