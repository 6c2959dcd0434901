"""Estimation, table in, table out: what is believed of the reward of every candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from prefopt_core.arrays import FloatArray, IndexArray
from prefopt_core.estimation.ensemble import Heads
from prefopt_core.estimation.settings import EstimationConfig
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.tables import TABLES, empty
from prefopt_core.ground.vectors import unpack
from prefopt_core.implicit_reward import implicit_reward

Estimates = tuple[FloatArray, FloatArray, FloatArray]
"""Rewards (n,), spreads (n,), heads (n, H)."""
Belief = Callable[[FloatArray, IndexArray], Estimates]
"""(n, d) vectors, and (n,) the numbers of their prompts → each beside the other candidates of its
prompt."""


def estimate_by_labels(
    candidates: Iterable[pl.DataFrame],
    embeddings: Iterable[pl.DataFrame],
    preferences: Sequence[pl.DataFrame],
    earlier: Sequence[pl.DataFrame],
    config: EstimationConfig,
    *,
    seed: int,
) -> list[pl.DataFrame]:
    """Estimate rewards from the labels of earlier rounds; see `laplace.fit` and `ensemble`.

    A reward is that of a response beside the other candidates, and so is its spread: the vectors of
    a prompt's candidates are centred on their mean, or each head's rewards are. Without any labels
    Laplace's rewards are 0, and spreads say how far a response lies from the mean; those of an
    ensemble are its first weights'. Ties teach nothing, as they make no pair.

    Args:
        candidates: Shards of the table `candidates`; those of a prompt are in one shard.
        embeddings: Shards of the table `embeddings` of them.
        preferences: Tables `preferences` of earlier rounds; of them the pairs of source `gold`.
        earlier: Tables `embeddings` in which the responses of these pairs are.
        config: By which of the two, and how many heads.
        seed: Root of the draws of the heads, or of their first weights.

    Returns:
        Table `estimates`, a shard for each shard of `candidates`.

    Raises:
        DataError: A response of a labelled pair, or a candidate, has no embedding.
    """
    believe: Belief | None = None
    shards = []
    for responses, vectors in zip(candidates, embeddings, strict=True):
        if responses.is_empty():
            shards.append(empty("estimates"))
            continue
        distinct = responses.select("prompt_id", "candidate_id").unique(maintain_order=True)
        own = _vectors(distinct["candidate_id"], vectors)
        if believe is None:
            learn = {"labels": _by_laplace, "ensemble": _by_ensemble}[config.source]
            believe = learn(*_evidence(preferences, earlier, own.shape[1]), config.heads, seed)
        prompt = distinct["prompt_id"].rank("dense").to_numpy().astype(np.intp) - 1
        shards.append(_table(distinct["candidate_id"], *believe(own, prompt)))
    return shards


def _by_laplace(
    chosen: FloatArray, rejected: FloatArray, probabilities: FloatArray, heads: int, seed: int
) -> Belief:
    # Here, as most runs need no SciPy, and before the limit below, which is of loaded libraries.
    from prefopt_core.estimation.laplace import fit

    # One BLAS thread: equal results on machines of more cores, and no crowd on shared ones.
    with threadpool_limits(limits=1, user_api="blas"):
        posterior = fit(chosen - rejected, probabilities)

    def believe(vectors: FloatArray, prompt: IndexArray) -> Estimates:
        centred = _centred(vectors, prompt)
        rng = rng_for(seed, "estimation", "heads")  # the same heads for every shard
        drawn = posterior.heads(centred, heads, rng)
        return posterior.rewards(centred), posterior.spreads(centred), drawn

    return believe


def _by_ensemble(
    chosen: FloatArray, rejected: FloatArray, probabilities: FloatArray, heads: int, seed: int
) -> Belief:
    rng = rng_for(seed, "estimation", "ensemble")
    ensemble = Heads(chosen.shape[1], heads, rng)
    if len(chosen):
        with threadpool_limits(limits=1, user_api="blas"):
            ensemble.fit(chosen, rejected, probabilities, rng)

    def believe(vectors: FloatArray, prompt: IndexArray) -> Estimates:
        with threadpool_limits(limits=1, user_api="blas"):
            own = _centred(ensemble.rewards(vectors), prompt)
        return own.mean(axis=1), own.std(axis=1, ddof=1), own

    return believe


def estimate_by_policy(policy_logps: pl.DataFrame, reference_logps: pl.DataFrame) -> pl.DataFrame:
    """Take the policy's implicit reward log π(y|x) - log π_init(y|x) as an estimate, spread 0.

    Without DPO's β, which strategies cannot tell: it scales all rewards, and there is no spread.

    Args:
        policy_logps: Table `logps` of all candidates under the policy.
        reference_logps: Table `logps` of them under the start policy.

    Returns:
        Table `estimates`, without heads.
    """
    both = policy_logps.join(
        reference_logps, "candidate_id", suffix="_init", maintain_order="left", validate="1:1"
    )
    rewards = implicit_reward(both["logps"].to_numpy(), both["logps_init"].to_numpy(), beta=1.0)
    return _table(both["candidate_id"], rewards, np.zeros(len(both)), np.zeros((len(both), 0)))


def _table(
    ids: pl.Series, rewards: FloatArray, spreads: FloatArray, heads: FloatArray
) -> pl.DataFrame:
    columns = {"candidate_id": ids, "reward": rewards, "spread": spreads, "heads": heads.tolist()}
    return pl.DataFrame(columns, schema=TABLES["estimates"].columns)


def _centred(values: FloatArray, prompt: IndexArray) -> FloatArray:
    """(n, m) values minus the mean of their prompt, whose numbers are (n,)."""
    sums = np.zeros((prompt.max() + 1, values.shape[1]))
    np.add.at(sums, prompt, values)
    return values - (sums / np.bincount(prompt)[:, None])[prompt]


def _evidence(
    preferences: Sequence[pl.DataFrame], earlier: Sequence[pl.DataFrame], dimensions: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Labelled pairs: (M, d) vectors of the chosen and the rejected, and (M,) P(chosen better)."""
    names = ("chosen_id", "rejected_id", "confidence")
    gold = [table.filter(pl.col("source") == "gold").select(names) for table in preferences]
    pairs = pl.concat(gold) if gold else pl.DataFrame()
    if pairs.is_empty():
        return np.zeros((0, dimensions)), np.zeros((0, dimensions)), np.zeros(0)
    known = pl.concat(earlier).unique("candidate_id", keep="first")
    chosen, rejected = (_vectors(pairs[name], known) for name in ("chosen_id", "rejected_id"))
    return chosen, rejected, pairs["confidence"].to_numpy()


def _vectors(ids: pl.Series, embeddings: pl.DataFrame) -> FloatArray:
    """(n, d) float64, the embedding of each id."""
    wanted = pl.DataFrame({"candidate_id": ids})
    found = wanted.join(embeddings, "candidate_id", how="left", maintain_order="left")
    if found["vector"].null_count():
        first = found.filter(pl.col("vector").is_null())["candidate_id"][0]
        raise DataError(
            f"Response {first} has no embedding, so nothing can be estimated of it. Embed the same "
            "responses that are labelled and selected from, in every round by the same embedder."
        )
    return unpack(found["vector"]).astype(np.float64)
