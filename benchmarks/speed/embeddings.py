"""Embeddings to measure with: random ones, and ones that look like those of real texts."""

import numpy as np
import numpy.typing as npt

Single = npt.NDArray[np.float32]

D = 384
TOGETHER = 100  # rows per topic of a pool, on average
COPIES = 0.05  # share of a pool that nearly repeats an earlier row
BLOCK = 50_000  # rows made at once


def unit(rows: Single) -> Single:
    """The rows at length 1."""
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows


def random_prompts(count: int, n: int, rng: np.random.Generator) -> Single:
    """(count, n, D) directions that have nothing in common."""
    return unit(rng.standard_normal((count, n, D), dtype=np.float32))


def prompts(count: int, n: int, rng: np.random.Generator) -> Single:
    """(count, n, D) responses that share a subject and fall into a few groups, in float16."""
    subject = rng.standard_normal((count, 1, D), dtype=np.float32)
    groups = rng.standard_normal((count, max(2, n // 6), D), dtype=np.float32)
    member = rng.integers(groups.shape[1], size=(count, n))
    rows = rng.standard_normal((count, n, D), dtype=np.float32)
    rows *= rng.uniform(0.4, 1.0, (count, n, 1)).astype(np.float32)
    rows += subject + 0.7 * np.take_along_axis(groups, member[:, :, None], axis=1)
    return unit(rows).astype(np.float16).astype(np.float32)


def pool(n: int, rng: np.random.Generator, out: npt.NDArray[np.floating]) -> None:
    """Fill (n, D) with topics of very different sizes, in broad areas, and near-duplicates."""
    areas = unit(rng.standard_normal((max(4, n // 5000), D), dtype=np.float32))
    count = max(8, n // TOGETHER)
    topics = unit(rng.standard_normal((count, D), dtype=np.float32))
    topics = unit(topics + 0.8 * areas[rng.integers(len(areas), size=count)])
    share = rng.pareto(1.5, count) + 0.2
    topic = rng.choice(count, size=n, p=share / share.sum())
    for start in range(0, n, BLOCK):
        own = unit(rng.standard_normal((min(BLOCK, n - start), D), dtype=np.float32))
        own *= rng.uniform(0.5, 1.1, (len(own), 1)).astype(np.float32)
        block = unit(own + topics[topic[start : start + BLOCK]])
        copies = np.flatnonzero(rng.random(len(block)) < COPIES)
        copies = copies[copies > 0]
        noise = unit(rng.standard_normal((len(copies), D), dtype=np.float32))
        noise *= rng.uniform(0, 0.3, (len(copies), 1)).astype(np.float32)
        block[copies] = unit(block[rng.integers(copies)] + noise)
        out[start : start + BLOCK] = block
