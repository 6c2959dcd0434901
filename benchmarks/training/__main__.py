"""What training, scoring and comparing cost, against other ways of doing the same in one run.

Prints docs/speed-training.md's tables. Times are CPU seconds of one thread a side, which a busy
machine stretches less than the clock; what is compared takes turns.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.comparisons import Row, table
from benchmarks.printing import cores, ending, load, say, section
from benchmarks.timing import WALL, threads
from benchmarks.training import grid, scoring, steps
from benchmarks.training.pairs import World, help_desk, larger

QUICK = "QUICK: fewer steps, rounds and arms.\n\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer steps, rounds and arms")
    parser.add_argument("--only", choices=("steps", "scoring", "grid"), help="one section")
    parser.add_argument("--out", type=Path, help="append the tables to this file, too")
    arguments = parser.parse_args()
    start = WALL()
    torch.set_num_threads(1)
    say(f"{QUICK if arguments.quick else ''}{_surroundings()}", arguments.out)
    with TemporaryDirectory() as folder, threads(1):
        for title, rows in _sections(Path(folder), arguments.quick, arguments.only):
            section(title, table(rows), arguments.out)
    say(ending(WALL() - start), arguments.out)


def _surroundings() -> str:
    return (
        f"{cores()}, no GPU; {load()}. CPU seconds, one "
        "thread a side, medians over *rounds*, ours and theirs in turn, after a warm-up."
    )


def _sections(folder: Path, quick: bool, only: str | None) -> Iterator[tuple[str, list[Row]]]:
    length, batch, sequences, rounds = (4, 4, 128, 1) if quick else (10, 8, 1024, 3)
    for world in _worlds(folder) if only != "grid" else ():
        if only != "scoring":
            rows = steps.compare(world, length, batch, rounds)
            yield f"A training step: {world.name}", rows
        if only != "steps":
            rows = scoring.compare(world, sequences, rounds)
            yield f"Scoring: {world.name}", rows
    if only in (None, "grid"):
        yield "A comparison", grid.section(folder / "grid", quick)


def _worlds(folder: Path) -> Iterator[World]:
    desk = help_desk(folder / "desk", 1024)
    yield desk
    yield larger(folder / "larger", desk)


if __name__ == "__main__":
    main()
