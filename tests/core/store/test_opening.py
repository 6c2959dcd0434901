"""A stage's function gets tables and folders opened, as its parameters are typed."""

from pathlib import Path

import polars as pl
import pytest

from prefopt_core.ground.tables import in_shards
from prefopt_core.labels.asked import Asked, Proposal
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.opening import Shards, bound, opened

LOGPS = pl.DataFrame({"candidate_id": ["a", "b", "c"], "logps": [-1.0, -2.0, -3.0]})


@pytest.fixture
def table(store):
    shards = tuple(store.put_table("logps", frame) for frame in in_shards(LOGPS, 2))
    return Artifact(table="logps", shards=shards)


@pytest.fixture
def folder(store, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "config.json").write_text("{}")
    return store.put_folder(tmp_path / "made")


def handed(store, function, *arguments, **more):
    return opened(function, store, bound(function, arguments, more))


def test_each_type_is_opened_in_its_way(store, table, folder):
    def function(
        whole: pl.DataFrame,
        lazy: pl.LazyFrame | None,
        shards: Shards,
        several: list[pl.DataFrame],
        model: Path,
        name: str = "x",
    ):
        """Nothing is computed here."""

    got = handed(store, function, table, table, table, [table, table], folder)
    assert got["whole"].equals(LOGPS)
    assert got["lazy"].collect().equals(LOGPS)
    assert got["shards"].rows == 3
    assert [frame.height for frame in got["shards"]] == [2, 1]
    assert [frame.height for frame in got["several"]] == [3, 3]
    assert got["model"] == store.folder_path(folder)
    assert got["name"] == "x"


def test_what_may_be_none_stays_none(store):
    def function(table: pl.DataFrame | None, model: Path | None = None):
        """Nothing is computed here."""

    assert handed(store, function, None) == {"table": None, "model": None}


def test_artifacts_that_travel_together_have_names_of_their_own_in_the_key(store, table):
    def function(asked: Asked[pl.DataFrame], seed: int):
        """Nothing is computed here."""

    proposal = Proposal(table, table, table, embeddings=table)
    arguments = bound(function, (proposal, 0), {})
    # the embeddings of a proposal are no business of a stage that takes what is asked only
    assert arguments.keys() == {"prompts", "candidates", "selections", "seed"}
    got = opened(function, store, arguments)
    assert got["asked"].selections.equals(LOGPS)
    assert got["seed"] == 0


def test_what_is_made_of_the_store_is_no_argument(store):
    def function(labels: int, kept: LabelStore):
        """Nothing is computed here."""

    assert bound(function, (3,), {}) == {"labels": 3}
    assert handed(store, function, 3)["kept"].path == store.root / "labels.sqlite"


@pytest.mark.parametrize("kind", [pl.DataFrame, Path])
def test_one_thing_is_not_taken_for_another(store, table, folder, kind):
    def function(value):
        """Nothing is computed here."""

    function.__annotations__["value"] = kind
    wrong = folder if kind is pl.DataFrame else table
    with pytest.raises(TypeError, match=f"value is to be opened as {kind.__name__}"):
        handed(store, function, wrong)


def test_an_unknown_argument_is_refused():
    def function(seed: int):
        """Nothing is computed here."""

    with pytest.raises(TypeError, match="got an unexpected keyword argument 'sed'"):
        bound(function, (1,), {"sed": 1})
