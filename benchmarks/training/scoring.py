"""Scoring in batches of like lengths against batches in file order, padded to their longest."""

from collections.abc import Sequence

import numpy as np

from benchmarks.comparisons import Row, faster, figure
from benchmarks.timing import CPU, Job, Kept, race
from benchmarks.training.pairs import World
from prefopt_core.models.loading import load_model
from prefopt_core.scoring import transformers_local

BATCH = 32
SAME = 1e-4
"""Sums of some twenty log-probabilities may differ by so much: padding changes the rounding."""


def compare(world: World, count: int, rounds: int) -> list[Row]:
    """Both orders in turn, CPU seconds per sequence."""
    sequences, network = world.sequences[:count], load_model(world.folder)
    by_length = Kept(lambda: transformers_local.score(world.folder, sequences, batch_size=BATCH))
    in_order = Kept(lambda: _in_file_order(network, sequences, BATCH))
    jobs = {"ours": Job(by_length, count), "theirs": Job(in_order, count)}
    times = race(jobs, rounds, CPU)
    gap = float(np.abs(by_length.result - in_order.result).max())
    what = f"a sequence, by length, batches of {BATCH}"
    return [
        faster(what, "in file order", times["ours"], times["theirs"]),
        figure("sums, largest difference", f"{gap:.1e}", target=f"≤ {SAME:g}", met=gap <= SAME),
        _padding(sequences, BATCH),
    ]


def _in_file_order(
    network: object, sequences: Sequence[tuple[list[int], list[int]]], size: int
) -> np.ndarray:
    starts = range(0, len(sequences), size)
    batches = [sequences[start : start + size] for start in starts]
    return np.concatenate([transformers_local._batch_logps(network, batch) for batch in batches])


def _padding(sequences: Sequence[tuple[list[int], list[int]]], size: int) -> Row:
    lengths = np.array([len(prompt) + len(response) for prompt, response in sequences])
    shares = []
    for order in (-np.sort(-lengths), lengths):
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        shares.append(1 - lengths.sum() / sum(len(b) * b.max() for b in batches))
    spread = "–".join(f"{q:.0f}" for q in np.quantile(lengths, [0, 0.5, 1]))
    name = f"padding, {len(lengths)} sequences of {spread} tokens (least–median–most)"
    return figure(name, f"{shares[0]:.0%}", "file order", f"{shares[1]:.0%}")
