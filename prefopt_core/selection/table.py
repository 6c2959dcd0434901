"""Selection, table in, table out: run one strategy on every prompt."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from prefopt_core.errors import DataError
from prefopt_core.randomness import rng_for
from prefopt_core.selection import STRATEGIES, Candidates
from prefopt_core.selection.aepo import redundancy, representativeness
from prefopt_core.selection.requirements import require_k
from prefopt_core.similarity import cosine
from prefopt_core.tables import TABLES
from prefopt_core.vectors import unpack

if TYPE_CHECKING:
    from prefopt_core.config import SelectionConfig


def select_responses(
    candidates: pl.DataFrame,
    embeddings: pl.DataFrame | None,
    config: "SelectionConfig",
    *,
    seed: int,
) -> pl.DataFrame:
    """Keep `config.k` distinct responses of every prompt, before any of them is annotated.

    A prompt with k samples or more but fewer than k distinct ones keeps all that it has; one with
    a single distinct response has nothing to compare and gets no rows.

    Args:
        candidates: Table `candidates`; its rows may be in any order.
        embeddings: Table `embeddings` with a row for every distinct candidate, or None.
        config: The strategy, its k and its settings.
        seed: Root of the randomness; a prompt's draw depends on this and its id only.

    Returns:
        Table `selections`, prompts in the order of their first appearance, ranks in the order of
        the samples. Both parts of the AEPO objective are there whenever embeddings are, so that
        strategies can be compared; else null.
    """
    strategy = STRATEGIES[config.strategy]
    responses = _distinct(candidates)
    if embeddings is not None:
        responses = _with_vectors(responses, embeddings)
    kept: list[int] = []  # rows of `responses`
    parts = []
    for prompt_id, start, group in _prompts(responses, config.k):
        if len(group) < 2:
            continue
        known = _known(group)
        rng = rng_for(seed, "selection", prompt_id)
        selected = strategy(known, min(config.k, len(known)), rng, **config.params)
        kept += [start + index for index in selected]
        parts.append((prompt_id, *_parts(known, selected)))
    return _selections(responses, kept, parts)


def _distinct(candidates: pl.DataFrame) -> pl.DataFrame:
    """One row per distinct response, prompts in order of appearance, responses in sample order."""
    order = candidates.select(pl.col("prompt_id").unique(maintain_order=True)).with_row_index("at")
    return (
        candidates.join(order, on="prompt_id")
        .sort("at", "sample")
        .group_by("prompt_id", "candidate_id", maintain_order=True)
        .agg(
            pl.col("response").first(),
            pl.col("logps").first().fill_nan(None),
            pl.len().alias("count"),
        )
    )


def _with_vectors(responses: pl.DataFrame, embeddings: pl.DataFrame) -> pl.DataFrame:
    joined = responses.join(embeddings, on="candidate_id", how="left", maintain_order="left")
    missing = joined.filter(pl.col("vector").is_null())
    if len(missing):
        raise DataError(
            f"{len(missing)} of {len(joined)} candidates have no embedding, the first being "
            f"{missing['candidate_id'][0]} ({missing['response'][0][:60]!r}). "
            "Embed the same candidates that are selected from."
        )
    return joined


def _prompts(responses: pl.DataFrame, k: int) -> Iterator[tuple[str, int, pl.DataFrame]]:
    """Yield each prompt's id, first row and rows, once every prompt is known to have k samples."""
    prompts = responses.group_by("prompt_id", maintain_order=True).agg(
        pl.len().alias("rows"), pl.col("count").sum(), pl.col("response").first()
    )
    for prompt_id, _, n, response in prompts.filter(pl.col("count") < k).head(1).iter_rows():
        require_k(k, n, f"responses to prompt {prompt_id} (the first is {response[:60]!r})")
    start = 0
    for prompt_id, rows in prompts.select("prompt_id", "rows").iter_rows():
        yield prompt_id, start, responses.slice(start, rows)
        start += rows


def _known(group: pl.DataFrame) -> Candidates:
    """What is known of one prompt's responses before any of them is annotated."""
    logps = group["logps"]
    return Candidates(
        responses=group["response"].to_list(),
        counts=group["count"].to_numpy().astype(np.intp),
        embeddings=unpack(group["vector"]) if "vector" in group.columns else None,
        logps=None if logps.null_count() else logps.to_numpy(),
    )


def _parts(known: Candidates, selected: list[int]) -> tuple[float | None, float | None]:
    """The representativeness and the redundancy of what was selected; None without embeddings."""
    if known.embeddings is None:
        return None, None
    similarity = cosine(known.embeddings)
    of_members = representativeness(similarity, known.counts)[selected]
    return float(of_members.mean()), float(redundancy(similarity, np.array([selected]))[0])


def _selections(
    responses: pl.DataFrame, kept: list[int], parts: list[tuple[str, float | None, float | None]]
) -> pl.DataFrame:
    """Put the table together: the rows that were kept, and the two parts of each prompt."""
    columns = TABLES["selections"].columns
    schema = {name: columns[name] for name in ("prompt_id", "representativeness", "redundancy")}
    return (
        responses[pl.Series(kept, dtype=pl.UInt32)]
        .select(
            "prompt_id",
            "candidate_id",
            pl.int_range(pl.len(), dtype=pl.Int32).over("prompt_id").alias("rank"),
        )
        .join(
            pl.DataFrame(parts, schema=schema, orient="row"),
            on="prompt_id",
            how="left",
            maintain_order="left",
        )
    )
