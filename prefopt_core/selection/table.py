"""Selection, table in, table out: run one strategy on every prompt."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import ThreadpoolController

from prefopt_core.arrays import IndexArray
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import quoted
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.tables import TABLES
from prefopt_core.ground.vectors import Halves, halves, widen
from prefopt_core.selection import Candidates
from prefopt_core.selection.aepo import pair_worth, redundancy, representativeness
from prefopt_core.selection.batches import (
    IDS,
    TEXTS,
    Batch,
    batches,
    distinct,
    quoted_first,
    require_samples,
    rows_of,
)
from prefopt_core.selection.best_pairs import PAIR_WEIGHTS, best_pairs, parts
from prefopt_core.selection.candidates import Ensemble, Estimated, Found
from prefopt_core.selection.gains import coverage_totals, objective_totals, spending_order
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.selection.similarity import Measure

COLUMNS = (*IDS, *TEXTS)
"""The columns of the table `candidates` that selection needs; pairs by embeddings `IDS` alone."""


def select_responses(
    candidates: pl.DataFrame | pl.LazyFrame,
    embeddings: pl.DataFrame | None,
    config: SelectionConfig,
    estimates: pl.DataFrame | None = None,
    *,
    seed: int,
) -> pl.DataFrame:
    """Keep `config.k` distinct responses of every prompt, before any of them is annotated.

    A prompt with k samples or more but fewer than k distinct ones keeps all that it has; one with
    a single distinct response has nothing to compare and gets no rows.

    Args:
        candidates: `COLUMNS` of the table `candidates`; its rows may be in any order. Of a lazy
            frame only what is needed is read.
        embeddings: Table `embeddings` with a row for every distinct candidate, or None.
        config: The strategy, its k and its settings.
        estimates: Table `estimates` with a row for every distinct candidate, for strategies that
            need it.
        seed: Root of the randomness; a prompt's draw depends on this and its id only.

    Returns:
        Table `selections`, prompts in the order of their first appearance. If responses can be
        compared, `rank` follows `spending_order` (the best pair first), and `representativeness`
        and `redundancy`, both parts of the AEPO objective, are those of the whole selection;
        otherwise `rank` follows the samples and both are null. `gain` is a column unless the
        allocation is 'fixed'.

    Raises:
        ConfigError: A prompt has fewer than k samples, or the strategy refuses its settings.
        DataError: A candidate has no embedding, or no estimate.
    """
    unread = embeddings is not None and estimates is None and _as_pairs(config, config.k)
    responses, prompts = distinct(candidates.lazy().select(IDS if unread else COLUMNS).collect())
    require_samples(prompts, config.k, candidates)
    if estimates is not None:
        responses = _estimated(responses, estimates)
    vectors = None if embeddings is None else _aligned(responses, embeddings, candidates)
    chosen: list[_Chosen] = []
    # One BLAS thread: for products this small a second gains nothing, and slows shared cores down.
    with _libraries().limit(limits=1, user_api="blas"):
        for batch in batches(prompts):
            if vectors is None or config.similarity.measure != "cosine":
                chosen += _one_by_one(batch, None, responses, config, seed)
                continue
            block = widen(rows_of(vectors, batch.members))
            if _as_pairs(config, block.shape[1]):
                chosen += _by_pairs(batch, block, config)
            else:
                chosen += _one_by_one(batch, block, responses, config, seed)
    chosen.sort(key=lambda chosen: min(chosen.rows))
    return _selections(responses, chosen, with_gains=config.allocation != "fixed")


def _as_pairs(config: SelectionConfig, n: int) -> bool:
    """Whether `best_pairs` selects from prompts of n distinct responses, by embeddings alone."""
    known = config.strategy in PAIR_WEIGHTS and config.similarity.measure == "cosine"
    return known and config.allocation == "fixed" and min(config.k, n) <= 2


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # cached: it inspects every loaded library


@dataclass(frozen=True)
class _Chosen:
    """The selection of one prompt: rows of the distinct responses, and its columns."""

    prompt_id: str
    rows: list[int]
    representativeness: float | None
    redundancy: float | None
    gap: float | None = None
    gains: list[float] | None = None


def _estimated(responses: pl.DataFrame, estimates: pl.DataFrame) -> pl.DataFrame:
    """The distinct responses with their columns `reward`, `spread` and `heads`."""
    joined = responses.join(estimates, on="candidate_id", how="left", maintain_order="left")
    missing = joined.filter(pl.col("reward").is_null())
    if len(missing):
        raise DataError(
            f"{len(missing)} of {len(joined)} candidates have no estimate, the first being "
            f"{missing['candidate_id'][0]} ({quoted(missing['response'][0])}). "
            "Estimate the same candidates that are selected from."
        )
    return joined


def _aligned(
    responses: pl.DataFrame, embeddings: pl.DataFrame, candidates: pl.DataFrame | pl.LazyFrame
) -> Halves:
    """(rows, d): the embedding of every distinct response."""
    vectors = halves(embeddings["vector"])
    if responses["candidate_id"].equals(embeddings["candidate_id"]):
        return vectors
    known = embeddings.select("candidate_id").with_row_index("at")
    joined = responses.join(known, on="candidate_id", how="left", maintain_order="left")
    missing = joined.filter(pl.col("at").is_null())
    if len(missing):
        first = missing["candidate_id"][0]
        raise DataError(
            f"{len(missing)} of {len(joined)} candidates have no embedding, the first being "
            f"{first} ({quoted_first(candidates, candidate_id=first)}). "
            "Embed the same candidates that are selected from."
        )
    return vectors[joined["at"].to_numpy()]


def _by_pairs(
    batch: Batch, block: npt.NDArray[np.float32], config: SelectionConfig
) -> Iterator[_Chosen]:
    """Select the best pair of every prompt of a batch."""
    pairs = best_pairs(block, batch.counts, *PAIR_WEIGHTS[config.strategy](**config.params))
    rows = np.take_along_axis(batch.members, pairs, axis=1).tolist()
    figures = (part.tolist() for part in parts(block, batch.counts, pairs))
    yield from map(_Chosen, batch.prompt_ids, rows, *figures, repeat(0.0))


def _one_by_one(
    batch: Batch,
    block: npt.NDArray[np.float32] | None,
    responses: pl.DataFrame,
    config: SelectionConfig,
    seed: int,
) -> Iterator[_Chosen]:
    """Call the strategy for every prompt; `block` holds the embeddings, if there are any."""
    strategy, measure = config.member(), config.similarity.member()
    for index, prompt_id in enumerate(batch.prompt_ids):
        known = _known(batch, index, block, responses, measure)
        rng = rng_for(seed, "selection", prompt_id)
        found = strategy(known, min(config.k, len(known)), rng)
        selected, gap = _members(found)
        gains = None
        if config.allocation != "fixed" or (known.comparable and len(selected) > 2):
            weight = config.params.get("diversity_weight", 1.0)
            worth = pair_worth(known.similarity, diversity_weight=weight, counts=known.counts)
            selected = spending_order(worth, selected)
            gains = _gains(config.allocation, known, worth, selected)
        members = np.array(selected)
        rows = batch.members[index, members].tolist()
        yield _Chosen(prompt_id, rows, *_figures(known, members), gap, gains)


def _known(
    batch: Batch,
    index: int,
    block: npt.NDArray[np.float32] | None,
    responses: pl.DataFrame,
    measure: Measure,
) -> Candidates:
    """The `Candidates` of one prompt of a batch."""
    group = responses.slice(batch.members[index, 0], batch.members.shape[1])
    logps = group["logps"].to_numpy()  # of a missing one NaN
    known: dict[str, Any] = {
        "responses": group["response"].to_list(),
        "counts": batch.counts[index],
        "embeddings": None if block is None else block[index],
        "logps": None if np.isnan(logps).any() else logps,
        "measure": measure,
    }
    if "reward" not in group.columns:
        return Candidates(**known)
    known |= {"rewards": group["reward"].to_numpy(), "spreads": group["spread"].to_numpy()}
    heads = np.array(group["heads"].to_list())
    return Ensemble(**known, heads=heads) if heads.size else Estimated(**known)


def _members(found: list[int] | Found) -> tuple[list[int], float | None]:
    """What a strategy returned: the members, and the gap to its bound; None without a bound."""
    if isinstance(found, Found):
        return found.members, math.ceil(1e6 * max(0.0, found.bound - found.value)) / 1e6
    return found, None


def _gains(
    allocation: str, known: Candidates, worth: npt.NDArray[np.float64], order: list[int]
) -> list[float] | None:
    """What each label adds, in spending order: 0 for the first, the pair's worth for the second."""
    if allocation == "fixed":
        return None
    if allocation == "coverage":
        totals = coverage_totals(known.similarity, order, known.counts)
    else:
        totals = objective_totals(worth, order)
    return np.diff(totals, prepend=[0.0, 0.0]).round(6).tolist()


def _figures(known: Candidates, selected: IndexArray) -> tuple[float | None, float | None]:
    """Representativeness and redundancy of a selection; None if there is no similarity."""
    if not known.comparable:
        return None, None
    if known.embeddings is not None and "similarity" not in vars(known):  # not computed yet
        both = parts(known.embeddings[None], known.counts[None], selected[None])
        return float(both[0][0]), float(both[1][0])
    u = known.similarity
    of_members = representativeness(u, known.counts)[selected].mean()
    return float(of_members.round(6)), float(redundancy(u, selected[None])[0].round(6))


def _selections(
    responses: pl.DataFrame, chosen: list[_Chosen], *, with_gains: bool
) -> pl.DataFrame:
    """The table `selections`: a row per selected response, its prompt's figures repeated."""
    columns = TABLES["selections"].columns
    lengths = [len(one.rows) for one in chosen]
    kept = [row for one in chosen for row in one.rows]
    figures: dict[str, list[Any]] = {
        name: [value for one in chosen for value in [getattr(one, name)] * len(one.rows)]
        for name in ("representativeness", "redundancy", "gap")
    }
    if with_gains:  # also if nothing was chosen: all shards of a table have the same columns
        figures["gain"] = [gain for one in chosen for gain in one.gains or ()]
    ranks = [rank for length in lengths for rank in range(length)]
    return responses[kept, ["prompt_id", "candidate_id"]].hstack(
        [
            pl.Series("rank", ranks, dtype=columns["rank"]),
            *(pl.Series(name, values, dtype=pl.Float64) for name, values in figures.items()),
        ]
    )
