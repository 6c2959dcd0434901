"""What `prefopt lint` costs beside reading the file: `python -m benchmarks.lint`.

Pairs of words drawn at random, 1,000 characters a response; both jobs take turns in one run.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import polars as pl

from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.lint import Known
from prefopt_core.lint.settings import LintConfig
from prefopt_core.lint.table import lint_pairs

_WORDS = ("open", "the", "account", "menu", "choose", "reset", "then", "wait", "for", "a", "mail")


def written(folder: Path, pairs: int, seed: int) -> Path:
    """A file of pairs."""
    rng = random.Random(seed)

    def text() -> str:
        return " ".join(rng.choices(_WORDS, k=200)) + "."

    columns = {
        "prompt": [f"How do I reset password {number}?" for number in range(pairs)],
        "chosen": [text() for _ in range(pairs)],
        "rejected": [text() for _ in range(pairs)],
    }
    path = folder / "pairs.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def _seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), asked.pairs, asked.seed)
        pairs = read_preferences(path)
        reading, linting = [], []
        for turn in range(asked.turns):
            # A file is parsed once in a process unless its content changes.
            other = written(Path(folder), asked.pairs, asked.seed + 1 + turn)
            reading.append(_seconds(lambda file=other: read_preferences(file)))
            linting.append(_seconds(lambda: lint_pairs(pairs, LintConfig(), Known())))
    print(
        f"{asked.pairs:,} pairs, medians of {asked.turns} turns: reading {median(reading):.1f} s, "
        f"lint {median(linting):.1f} s, {median(linting) / median(reading):.2f} times that."
    )


if __name__ == "__main__":
    main()
