"""The distinct responses of every prompt, and batches of prompts that have as many of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from prefopt_core.arrays import IndexArray
from prefopt_core.ground.ids import quoted
from prefopt_core.ground.vectors import Halves
from prefopt_core.selection.requirements import require_k

IDS = ("prompt_id", "candidate_id", "sample")
TEXTS = ("response", "logps")
"""What is read of the table `candidates`: `IDS` always, `TEXTS` where a strategy looks at them."""

ROWS = 1024
"""Responses of one batch of prompts: some 5 MB, which stay in the processor's cache."""


@dataclass(frozen=True)
class Prompts:
    """Every prompt's distinct responses, which are rows that follow each other."""

    ids: pl.Series
    sizes: IndexArray  # (prompts,) N
    counts: IndexArray  # (rows,) how often each was sampled


@dataclass(frozen=True)
class Batch:
    """Prompts with equally many distinct responses."""

    prompt_ids: list[str]
    members: IndexArray  # (B, N) rows of the distinct responses
    counts: IndexArray  # (B, N)


def distinct(candidates: pl.DataFrame) -> tuple[pl.DataFrame, Prompts]:
    """One row per distinct response, prompts in order of appearance, responses in sample order.

    Args:
        candidates: `IDS` of the table `candidates`, and `TEXTS` or none of them.
    """
    ids, sizes = _runs(candidates)
    later_prompt = np.diff(np.repeat(np.arange(len(sizes)), sizes)) > 0
    later_sample = np.diff(candidates["sample"].to_numpy()) > 0
    if (
        ids.n_unique() == len(ids)
        and candidates["candidate_id"].n_unique() == candidates.height
        and (later_prompt | later_sample).all()
    ):  # as it is already where no text repeats
        return candidates, Prompts(ids, sizes, np.ones(candidates.height, dtype=np.intp))
    order = candidates.select(pl.col("prompt_id").unique(maintain_order=True)).with_row_index("at")
    texts = [name for name in TEXTS if name in candidates.columns]
    rows = (
        candidates.join(order, on="prompt_id")
        .sort("at", "sample")
        .group_by("prompt_id", "candidate_id", maintain_order=True)
        .agg(pl.col(texts).first(), pl.len().alias("count"))
    )
    return rows, Prompts(*_runs(rows), rows["count"].to_numpy().astype(np.intp))


def _runs(table: pl.DataFrame) -> tuple[pl.Series, IndexArray]:
    """The ids of prompts, and how many rows in a row each has."""
    runs = table["prompt_id"].rle().struct.unnest()
    return runs["value"], runs["len"].to_numpy().astype(np.intp)


def require_samples(prompts: Prompts, k: int, candidates: pl.DataFrame | pl.LazyFrame) -> None:
    """Refuse a prompt with fewer than k samples.

    Raises:
        ConfigError: There is one.
    """
    starts = np.cumsum(prompts.sizes) - prompts.sizes
    samples = np.add.reduceat(prompts.counts, starts) if len(starts) else starts
    for at in np.flatnonzero(samples < k)[:1].tolist():
        text = quoted_first(candidates, prompt_id=prompts.ids[at])
        about = f"responses to prompt {prompts.ids[at]} (the first is {text})"
        require_k(k, int(samples[at]), about)


def batches(prompts: Prompts) -> Iterator[Batch]:
    """Batches of prompts with the same N; prompts of one distinct response are left out."""
    ids, starts = prompts.ids.to_list(), np.cumsum(prompts.sizes) - prompts.sizes
    for n in dict.fromkeys(prompts.sizes.tolist()):
        same, most = np.flatnonzero(prompts.sizes == n), max(1, ROWS // n)
        for start in range(0, len(same) if n > 1 else 0, most):
            part = same[start : start + most]
            members = starts[part][:, None] + np.arange(n)
            yield Batch([ids[at] for at in part], members, prompts.counts[members])


def rows_of(vectors: Halves, members: IndexArray) -> Halves:
    """(B, N, d): the vectors of a batch; a view of them where its prompts follow each other."""
    first, end = members[0, 0], members[-1, -1] + 1
    if end - first == members.size:
        return vectors[first:end].reshape(*members.shape, -1)
    return vectors[members]


def quoted_first(candidates: pl.DataFrame | pl.LazyFrame, **ids: str) -> str:
    """The first response of these ids, for messages."""
    return quoted(candidates.lazy().filter(**ids).select("response").first().collect().item())
