"""How the cost grows: with the responses per prompt, with the prompts, with the rows of a pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks import printing
from benchmarks.printing import duration
from benchmarks.speed import pool_steps as steps
from benchmarks.speed.embeddings import prompts
from benchmarks.speed.pairs import bare, batched
from benchmarks.speed.parquet_to_parquet import SHARD, fill, run
from benchmarks.speed.published import cosines, published, score_by_sums
from benchmarks.timing import Job, race, threads
from prefopt_core.selection.aepo import aepo
from prefopt_core.store.store import Store

PAIRS, PRODUCT = "best_pairs, k = 2", "bare matmul"
PUBLISHED = "published search, only what counts summed, k = 2"
FOUR = "aepo, k = 4, with proof"
STAGE = "Parquet → Parquet"

# Okabe and Ito's colours, which colour-blind readers can tell apart; no two markers are the same.
STYLES = {
    PAIRS: ("#0072B2", "o", "-"),
    PRODUCT: ("#6e7781", "x", ":"),
    PUBLISHED: ("#D55E00", "s", "--"),
    FOUR: ("#009E73", "^", "-."),
    STAGE: ("#0072B2", "o", "-"),
    steps.LISTS: ("#6e7781", "x", ":"),
    steps.DUPLICATES: ("#E69F00", "D", "-"),
    steps.GRAPH: ("#0072B2", "o", "-"),
    steps.LOCATION: ("#009E73", "^", "-."),
    steps.CENTRES: ("#D55E00", "s", "--"),
}
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Growth:
    """Seconds against size, by name; a line may lack the sizes that were too much for it."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Mapping[int, float]]


def responses(quick: bool) -> Growth:
    """Double N, from 8 to 512."""
    lines: dict[str, dict[int, float]] = {x: {} for x in (PAIRS, PRODUCT, PUBLISHED, FOUR)}
    rng = np.random.default_rng(0)
    with threads(1):
        for n in [2**power for power in range(3, 10)]:
            block = prompts(max(8, (4096 if quick else 16_384) // n), n, rng)
            matrices = [cosines(rows.astype(np.float64)) for rows in block[:6]]
            search = partial(published, k=2, rng=rng, score=score_by_sums)
            jobs = {
                PAIRS: Job(partial(batched, block), len(block)),
                PRODUCT: Job(partial(bare, block), len(block)),
                PUBLISHED: Job(lambda m=matrices, s=search: [s(x) for x in m], 6),
            }
            if n <= 64:
                jobs[FOUR] = Job(lambda m=matrices: [aepo(x, 4) for x in m], 6)
            for name, time in race(jobs, 3 if quick else 5).items():
                lines[name][n] = time.seconds
    return Growth("one prompt, one core", "N, responses per prompt", "per prompt", lines)


def many_prompts(quick: bool) -> Growth:
    """Double the prompts; each run writes and reads files of its own."""
    counts = [500, 1000, 2000] if quick else [625, 1250, 2500, 5000, 10_000]
    found = {}
    with threads(1):
        for count in counts:
            with TemporaryDirectory() as name:
                store = Store(Path(name))
                tables = fill(store, count, min(SHARD, count))
                job = {STAGE: Job(lambda s=store, t=tables: run(s, t))}
                found[count] = race(job, 3)[STAGE].seconds
    return Growth("the stage, N = 32, d = 384", "prompts", "in all", {STAGE: found})


def rows(measured: Sequence[steps.Steps]) -> Growth:
    """Ten times the rows."""
    names = (steps.LISTS, steps.DUPLICATES, steps.GRAPH, steps.LOCATION, steps.CENTRES)
    lines = {
        name: {len(m.pool): m.times[name].seconds for m in measured if name in m.times}
        for name in names
    }
    return Growth("a pool, d = 384, float16 in a file", "rows of the pool", "in all", lines)


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The power of the size that the time follows, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def table(growth: Growth) -> str:
    """All times, and by which power they grow: over all sizes and over the last doubling."""
    sizes = sorted({size for line in growth.lines.values() for size in line})
    header = [growth.x, *(f"{size:,}" for size in sizes), "slope", "last step"]
    cells = []
    for name, line in growth.lines.items():
        known = sorted(line)
        times = [duration(line[size]) if size in line else "–" for size in sizes]
        fits = [slope(part, [line[x] for x in part]) for part in (known, known[-2:])]
        cells.append([name, *times, *(f"{fit:.2f}" for fit in fits)])
    return printing.table(header, cells)


def plot(growths: Sequence[Growth], path: Path) -> None:
    """A panel each, both axes logarithmic."""
    figure, axes = pyplot.subplots(1, len(growths), figsize=(4.1 * len(growths), 4.9))
    for axis, growth in zip(axes, growths, strict=True):
        for name, line in growth.lines.items():
            _line(axis, name, line)
        axis.set_xscale("log")
        axis.set_yscale("log")
        sizes = sorted({size for line in growth.lines.values() for size in line})
        axis.set_xticks(sizes, _sizes(sizes), minor=False)
        axis.set_xticks([], minor=True)
        _seconds(axis)
        axis.set_title(growth.title, fontsize=11)
        axis.set_xlabel(growth.x, fontsize=9)
        axis.set_ylabel(f"time {growth.y}", fontsize=9)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.46, -0.16))
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _seconds(axis: Axes) -> None:
    """Times with their units; more of them where there are few powers of ten."""
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 300 else (1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: duration(y)))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _line(axis: Axes, name: str, line: Mapping[int, float]) -> None:
    sizes = sorted(line)
    seconds = [line[size] for size in sizes]
    colour, marker, dash = STYLES[name]
    label = f"{name}: slope {slope(sizes, seconds):.2f}"
    axis.plot(sizes, seconds, color=colour, marker=marker, ls=dash, ms=5, label=label)


def _sizes(sizes: Sequence[int]) -> list[str]:
    """Powers of ten if all are, else the numbers.

    >>> _sizes([1000, 1000000]), _sizes([1000, 2000])
    (['10³', '10⁶'], ['1,000', '2,000'])
    """
    powers = [round(np.log10(size)) for size in sizes]
    if any(10**power != size for power, size in zip(powers, sizes, strict=True)):
        return [f"{size:,}" for size in sizes]
    return [f"10{str(power).translate(SUPERSCRIPT)}" for power in powers]
