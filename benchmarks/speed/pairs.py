"""The best pair of every prompt: k = 2, one core, embeddings in, pairs out."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.comparisons import Row, costs, faster, figure, missing
from benchmarks.speed.embeddings import D, prompts, random_prompts
from benchmarks.speed.published import (
    cosines,
    greedy_pair,
    published,
    scanned_pair,
    score_by_sums,
)
from benchmarks.timing import CPU, Job, Time, race, threads
from prefopt_core.selection.aepo import aepo
from prefopt_core.selection.batches import ROWS
from prefopt_core.selection.best_pairs import best_pairs

Single = npt.NDArray[np.float32]

SIZES = (8, 32, 128, 512)
SHARE = 0.6  # of the sgemm rate, from N = 128 on
STREAM = 2**25  # numbers read to measure the memory: 128 MB


def section(quick: bool) -> list[Row]:
    """Compare the kernel with what else finds a pair, at every N."""
    rows, total = [], 8_192 if quick else 32_768
    with threads(1):
        for n in SIZES:
            rng = np.random.default_rng(n)
            block = prompts(max(total // n, 16), n, rng)
            rows += _compare(n, _race(block, rng, 3 if quick else 7))
            rows += _check(n, block, random_prompts(len(block), n, rng))
    return rows


def limits() -> dict[str, Job]:
    """What the core can do at best: floating-point operations, and bytes from memory."""
    square = np.ones((1024, 1024), dtype=np.float32)
    other, out = square.T.copy(), np.empty_like(square)  # not of itself: that is half the work
    stream = np.ones(STREAM, dtype=np.float32)
    return {
        "sgemm": Job(lambda: np.matmul(square, other, out=out), 2 * 1024**3),
        "read": Job(stream.max, stream.nbytes),
    }


def batched(block: Single) -> npt.NDArray[np.intp]:
    """All pairs, in the batches of the stage."""
    pairs = np.empty((len(block), 2), dtype=np.intp)
    size = max(1, ROWS // block.shape[1])
    for start in range(0, len(block), size):
        part = block[start : start + size]
        pairs[start : start + size] = best_pairs(part, _ones(part), 1.0, 1.0)
    return pairs


def exact_pair(embeddings: Single) -> list[int]:
    """The pair in float64."""
    return aepo(cosines(embeddings.astype(np.float64)), 2)


def bare(block: Single, *, copied: bool = False) -> None:
    """The matrix product that no exact method can do without, and nothing else.

    Of an array with itself NumPy has BLAS compute one half and copies it to the other; of an array
    with its copy, all of it.
    """
    size = max(1, ROWS // block.shape[1])
    for start in range(0, len(block), size):
        part = block[start : start + size]
        np.matmul(part, (part.copy() if copied else part).transpose(0, 2, 1))


def each(solve: Callable[[Single], object], blocks: Sequence[Single]) -> None:
    """Solve one prompt after the other."""
    for block in blocks:
        solve(block)


def _ones(block: Single) -> npt.NDArray[np.intp]:
    return np.ones(block.shape[:2], dtype=np.intp)


def _race(block: Single, rng: np.random.Generator, rounds: int) -> dict[str, Time]:
    few = list(block[: max(1, 200 // block.shape[1])])
    some = list(block[: max(8, 8192 // block.shape[1])])
    matrices = [cosines(rows) for rows in few]
    search = partial(published, k=2, rng=rng)
    jobs = {
        "best_pairs": Job(lambda: batched(block), len(block)),
        "matmul": Job(lambda: bare(block), len(block)),
        "general": Job(lambda: bare(block, copied=True), len(block)),
        "published": Job(lambda: each(search, matrices), len(few), warm=False),
        "sums": Job(
            lambda: each(partial(search, score=score_by_sums), matrices), len(few), warm=False
        ),
        "greedy": Job(lambda: each(greedy_pair, some), len(some)),
        "scan": Job(lambda: each(scanned_pair, some), len(some)),
    }
    jobs |= limits()
    for name, call in _pyversity().items():
        jobs[name] = Job(partial(each, call, some), len(some))
    return race(jobs, rounds, CPU)


def _pyversity() -> dict[str, Callable[[Single], object]]:
    """Its ways to choose two that are relevant, here typical, and diverse; none if not there."""
    try:
        import pyversity
    except ImportError:
        return {}

    def solve(embeddings: Single, strategy: str) -> object:
        typical = embeddings @ embeddings.sum(axis=0) / len(embeddings)
        return pyversity.diversify(embeddings, typical, 2, strategy=strategy)

    return {f"pyversity {x.upper()}": partial(solve, strategy=x) for x in ("mmr", "msd")}


def _compare(n: int, times: dict[str, Time]) -> list[Row]:
    ours, what = times["best_pairs"], f"best pair, N = {n}"
    least = {32: 300.0, 128: 300.0}.get(n)
    plain = "published search, matrix given"
    rows = [
        faster(what, f"{plain}", ours, times["published"], least),
        faster(what, f"{plain}, only what counts summed", ours, times["sums"], least),
        faster(what, "NumPy, one prompt at a time, greedy", ours, times["greedy"]),
        faster(what, "NumPy, one prompt at a time, all pairs", ours, times["scan"]),
    ]
    rivals = [name for name in times if name.startswith("pyversity")]
    rows += [faster(what, f"{name} (not exact)", ours, times[name]) for name in rivals]
    if not rivals:
        rows.append(missing(what, "pyversity"))
    rows.append(costs(what, "bare batched matmul", ours, times["matmul"], 1.25))
    rows.append(costs(what, "batched matmul with a copy", ours, times["general"]))
    streamed = Time(4 * n * D * times["read"].seconds, ours.rounds)
    rows.append(costs(what, "reading the embeddings once from memory", ours, streamed))
    share = 2 * n * n * D * times["sgemm"].seconds / ours.seconds
    label, target = f"{what}: of the rate of sgemm 1024³", f"≥ {SHARE:.0%}" if n >= 128 else ""
    rate = f"{1e-9 / times['sgemm'].seconds:.0f} GFLOP/s"
    rows.append(figure(label, f"{share:.0%}", "sgemm", rate, target, share >= SHARE))
    return rows


def _check(n: int, *blocks: Single) -> list[Row]:
    """Whether every pair is the one that float64 finds."""
    same, total = 0, 0
    for block in blocks:
        pairs = [exact_pair(rows) for rows in block]
        same += sum(
            pair == other for pair, other in zip(batched(block).tolist(), pairs, strict=True)
        )
        total += len(block)
    what, found = f"N = {n}: same pair as float64", f"{same} of {total}"
    return [figure(what, found, "", "", "all", same == total)]
