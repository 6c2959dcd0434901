"""Scoring in batches of like lengths against batches in file order, padded to their longest."""

import time
from collections.abc import Sequence

import numpy as np

from benchmarks.speed_timing import Row, Time, faster, figure
from benchmarks.training_pairs import World
from prefopt_core import scoring
from prefopt_core.config import ScoringConfig
from prefopt_core.models import load_model

SAME = 1e-4
"""Sums of some twenty log-probabilities may differ by so much: padding changes the rounding."""


def section(worlds: list[World], count: int, rounds: int) -> list[Row]:
    """Both orders in turn, CPU seconds per sequence."""
    rows = []
    for world in worlds:
        sequences, config = world.sequences[:count], ScoringConfig()
        network = load_model(world.folder)
        sums: dict[str, np.ndarray] = {}
        taken: dict[str, list[float]] = {"by length": [], "in file order": []}
        for turn in range(rounds + 1):
            for way, seconds in taken.items():
                started = time.process_time()
                if way == "by length":
                    sums[way] = scoring.sequence_logps(world.folder, sequences, config)
                else:
                    sums[way] = _in_file_order(network, sequences, config.batch_size)
                if turn:  # the first is warm-up
                    seconds.append((time.process_time() - started) / count)
        ours, theirs = (Time(float(np.median(t)), len(t)) for t in taken.values())
        gap = float(np.abs(sums["by length"] - sums["in file order"]).max())
        size = config.batch_size
        rows += [
            faster(f"{world.name}: by length, batches of {size}", "file order", ours, theirs),
            figure(
                f"{world.name}: sums, largest difference", f"{gap:.1e}", "file order", "",
                f"≤ {SAME:g}", gap <= SAME,
            ),
        ]  # fmt: skip
    return [*rows, _padding(worlds[0].sequences[:count], ScoringConfig().batch_size)]


def _in_file_order(
    network: object, sequences: Sequence[tuple[list[int], list[int]]], size: int
) -> np.ndarray:
    starts = range(0, len(sequences), size)
    return np.concatenate([scoring._batch_logps(network, sequences[i : i + size]) for i in starts])


def _padding(sequences: Sequence[tuple[list[int], list[int]]], size: int) -> Row:
    lengths = np.array([len(prompt) + len(response) for prompt, response in sequences])
    shares = []
    for order in (-np.sort(-lengths), lengths):
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        shares.append(1 - lengths.sum() / sum(len(b) * b.max() for b in batches))
    spread = "–".join(f"{q:.0f}" for q in np.quantile(lengths, [0, 0.5, 1]))
    name = f"padding, {len(lengths)} sequences of {spread} tokens (least–median–most)"
    return figure(name, f"{shares[0]:.0%}", "file order", f"{shares[1]:.0%}")
