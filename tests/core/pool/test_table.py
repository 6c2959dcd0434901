"""The tables of a pool: from an index to choices, from choices to prompts."""

import numpy as np
import polars as pl
import pytest

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.tables import check_table
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.pool.lists import build_index
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.pool.table import choose_rows, take_prompts

COUNT = 12


@pytest.fixture(scope="module")
def index(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    build_index([rows], *rows.shape, folder, rng=np.random.default_rng(0))
    return folder


def config(**settings):
    return PoolConfig.model_validate({"count": COUNT} | settings)


@pytest.mark.parametrize("strategy", POOL_STRATEGIES)
def test_choices_keep_their_contract(index, rows, strategy):
    choices = check_table("choices", choose_rows(index, None, config(strategy=strategy), seed=0))
    assert choices["rank"].to_list() == list(range(COUNT))
    assert choices["row"].n_unique() == COUNT
    assert choices["row"].is_between(0, len(rows) - 1).all()
    assert (choices["weight"] >= 1).all()
    assert set(choices["stratum"]) == {""}
    assert choices["certificate"].n_unique() == 1


def test_each_stratum_has_its_share_and_its_proof(index, rows):
    strata = np.array(["a", "b", "b"], dtype=object)[np.arange(len(rows)) % 3]
    choices = choose_rows(index, strata, config(), seed=0)
    assert strata[choices["row"]].tolist() == choices["stratum"].to_list()
    counts = dict(choices["stratum"].value_counts().iter_rows())
    assert counts == {"a": 4, "b": 8}
    proofs = choices.select("stratum", "certificate").unique()
    assert len(proofs) == 2
    equal = choose_rows(index, strata, config(rule="equal"), seed=0)
    assert dict(equal["stratum"].value_counts().iter_rows()) == {"a": 6, "b": 6}


def test_near_duplicates_are_merged_into_weights(index, rows):
    merged = choose_rows(index, None, config(), seed=0)
    apart = choose_rows(index, None, config(near_duplicates=None), seed=0)
    assert set(apart["weight"]) == {1.0}
    assert merged["weight"].max() > 1
    every = choose_rows(index, None, config(strategy="random", count=100), seed=0)
    assert every["weight"].sum() <= len(rows)


def test_too_many_are_refused_by_the_setting(index, rows):
    with pytest.raises(ConfigError, match=r"of 5000 rows.* Lower `pool.count`"):
        choose_rows(index, None, config(count=len(rows) + 1), seed=0)
    with pytest.raises(ConfigError, match=r"distinct rows.*`pool.near_duplicates`"):
        choose_rows(index, None, config(count=len(rows)), seed=0)


def test_prompts_are_taken_by_rank():
    prompts = pl.DataFrame({"prompt_id": list("abcde")})
    choices = pl.DataFrame({"row": [1, 4, 0], "rank": [2, 0, 1]})

    def taken(*places):
        return "".join(take_prompts(prompts, choices, *places)["prompt_id"])

    assert taken() == "eab"
    assert taken(1) == "ab"
    assert (taken(0, 2), taken(2, 1)) == ("ea", "b")
    stratified = prompts.with_columns(stratum=pl.lit("x"))
    assert take_prompts(stratified, choices).columns == ["prompt_id"]
