"""Estimation on tables: from the labels of earlier rounds, or from the policy."""

import numpy as np
import polars as pl
import pytest

from prefopt_core.estimation.settings import EstimationConfig
from prefopt_core.estimation.table import estimate_by_labels, estimate_by_policy
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.tables import TABLES, check_table
from prefopt_core.ground.vectors import pack

W = np.array([2.0, -1.0, 0.5, 0.0])
"""What labels follow."""


def responses(*prompts, seed=0, n=4):
    """Tables `candidates` and `embeddings` of n responses to each prompt; two texts are equal."""
    rng = np.random.default_rng(seed)
    ids = [f"{prompt} {i}" for prompt in prompts for i in range(n)]
    vectors = rng.normal(size=(len(ids), 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    empty = pl.DataFrame(schema=TABLES["candidates"].columns)
    rows = pl.DataFrame({"prompt_id": [i.split()[0] for i in ids], "candidate_id": ids})
    rows = pl.concat([empty, rows, rows[:1]], how="diagonal")  # the first was sampled twice
    return rows, pl.DataFrame({"candidate_id": ids, "vector": pack(vectors)}), vectors


def labelled(vectors, prompts, source="gold"):
    """Table `preferences`: of each prompt the first response against the second, by W."""
    rows = []
    for at, prompt in enumerate(prompts):
        better = (vectors[4 * at] - vectors[4 * at + 1]) @ W > 0
        pair = (f"{prompt} 0", f"{prompt} 1") if better else (f"{prompt} 1", f"{prompt} 0")
        rows.append((*pair, source, 1.0))
    return pl.DataFrame(
        rows, schema=["chosen_id", "rejected_id", "source", "confidence"], orient="row"
    )


def estimate(candidates, embeddings, preferences=(), earlier=(), seed=0, heads=5, source="labels"):
    (made,) = estimate_by_labels(
        [candidates],
        [embeddings],
        list(preferences),
        list(earlier),
        EstimationConfig(heads=heads, source=source),
        seed=seed,
    )
    return check_table("estimates", made)


def test_without_labels_rewards_are_equal_and_the_odd_one_is_least_certain():
    candidates, embeddings, vectors = responses("p", "q")
    made = estimate(candidates, embeddings)
    assert made["candidate_id"].to_list() == embeddings["candidate_id"].to_list()
    assert made["reward"].to_list() == [0.0] * 8
    stored = vectors.astype(np.float16).astype(float).reshape(2, 4, 4)
    lengths = np.linalg.norm(stored - stored.mean(axis=1, keepdims=True), axis=2).ravel()
    assert made["spread"].to_numpy() == pytest.approx(lengths)


@pytest.mark.parametrize("source", ["labels", "ensemble"])
def test_labels_of_earlier_rounds_teach_which_responses_are_better(source):
    past = [f"past{i}" for i in range(60)]
    _, earlier, seen = responses(*past, seed=1)
    candidates, embeddings, vectors = responses(*"abcdefgh", seed=2)
    made = estimate(candidates, embeddings, [labelled(seen, past)], [earlier], source=source)
    rewards = made["reward"].to_numpy().reshape(8, 4)
    assert rewards.mean(axis=1) == pytest.approx(np.zeros(8), abs=1e-9)  # beside the others
    true = (vectors @ W).reshape(8, 4)
    assert (rewards.argmax(axis=1) == true.argmax(axis=1)).sum() >= 6
    assert (
        np.corrcoef(rewards.ravel(), (true - true.mean(axis=1, keepdims=True)).ravel())[0, 1] > 0.9
    )


def test_an_ensembles_rewards_and_spreads_are_those_of_its_heads():
    candidates, embeddings, _ = responses("a", "b")
    made = estimate(candidates, embeddings, source="ensemble", heads=7)
    heads = np.array(made["heads"].to_list())
    assert heads.shape == (8, 7)
    assert heads.reshape(2, 4, 7).mean(axis=1) == pytest.approx(np.zeros((2, 7)), abs=1e-6)
    assert made["reward"].to_numpy() == pytest.approx(heads.mean(axis=1))
    assert made["spread"].to_numpy() == pytest.approx(heads.std(axis=1, ddof=1))
    again, other = (estimate(candidates, embeddings, source="ensemble", seed=s) for s in (0, 1))
    assert again.equals(estimate(candidates, embeddings, source="ensemble"))
    assert not again.equals(other)


def test_own_judgments_of_the_policy_teach_nothing():
    past = [f"past{i}" for i in range(20)]
    _, earlier, seen = responses(*past, seed=1)
    candidates, embeddings, _ = responses("a", "b", seed=2)
    own = labelled(seen, past, source="self")
    assert estimate(candidates, embeddings, [own], [earlier]).equals(
        estimate(candidates, embeddings)
    )


@pytest.mark.parametrize("source", ["labels", "ensemble"])
def test_shards_have_the_same_heads_as_the_whole(source):
    candidates, embeddings, _ = responses("a", "b")
    one = candidates["prompt_id"] == "a"
    first = embeddings["candidate_id"].str.starts_with("a")
    shards = estimate_by_labels(
        [candidates.filter(one), candidates.filter(~one), candidates[:0]],
        [embeddings.filter(first), embeddings.filter(~first), embeddings[:0]],
        [],
        [],
        EstimationConfig(heads=5, source=source),
        seed=0,
    )
    whole = estimate(candidates, embeddings, source=source)
    assert [len(shard) for shard in shards] == [4, 4, 0]
    assert pl.concat(shards)["candidate_id"].equals(whole["candidate_id"])
    by_shard, together = (
        np.array(table["heads"].to_list()) for table in (pl.concat(shards), whole)
    )
    assert by_shard == pytest.approx(together, abs=1e-5)


def test_another_seed_draws_other_heads_and_the_same_rewards():
    candidates, embeddings, _ = responses("a", "b")
    one, other = (estimate(candidates, embeddings, seed=seed) for seed in (0, 1))
    assert one.drop("heads").equals(other.drop("heads"))
    assert not one.equals(other)
    assert one.equals(estimate(candidates, embeddings, seed=0))


def test_labelled_response_without_embedding_is_named():
    candidates, embeddings, _ = responses("a")
    _, earlier, seen = responses("past")
    with pytest.raises(DataError, match="Response past 1 has no embedding"):
        estimate(candidates, embeddings, [labelled(seen, ["past"])], [earlier[:1]])


def test_policy_is_for_what_has_become_likelier():
    ids = ["a", "b", "c"]
    now = pl.DataFrame({"candidate_id": ids, "logps": [-5.0, -4.0, -9.0]})
    start = pl.DataFrame({"candidate_id": ids, "logps": [-6.0, -7.0, -9.0]})
    made = check_table("estimates", estimate_by_policy(now, start))
    assert made["reward"].to_list() == [1.0, 3.0, 0.0]
    assert made["spread"].to_list() == [0.0] * 3
    assert made["heads"].to_list() == [[]] * 3
