"""Manifests: what is committed is found, and whatever else lies there is not believed."""

import base64
import json
import os
import pickle
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.manifests import Manifest
from prefopt_core.store.store import Store

KEY = "5" * 64


def logps(*values, first=0):
    ids = [f"c{first + i}" for i in range(len(values))]
    return pl.DataFrame({"candidate_id": ids, "logps": pl.Series(values, dtype=pl.Float64)})


def artifact(*shards, table="logps"):
    return Artifact(table=table, shards=shards)


def manifest(output, stage="score", key=KEY):
    return Manifest(
        stage=stage,
        version=1,
        key=key,
        inputs={"seed": 0},
        output=output,
        made_with={"polars": "2"},
        created=1.5e9,
        seconds=0.5,
        peak_memory_mb=100,
    )


def test_what_is_committed_is_found(store):
    made = manifest(artifact(store.put_table("logps", logps(1.0))))
    assert store.lookup("score", KEY) == (None, "not made yet")
    store.put_manifest(made)
    assert store.lookup("score", KEY) == (made, "")
    assert list(store.manifests()) == list(store.manifests("score")) == [made]
    assert list(store.manifests("select")) == []


def test_result_is_found_from_another_place(store, tmp_path):
    made = manifest(artifact(store.put_table("logps", logps(1.0))))
    store.put_manifest(made)
    moved = Store(store.root.rename(tmp_path / "moved"))
    assert moved.lookup("score", KEY) == (made, "")


def pickled_record(marker):
    """A Prefect result record whose pickle would write a file when loaded."""

    class Bomb:
        def __reduce__(self):
            return Path.touch, (marker,)

    return {
        "metadata": {"serializer": {"type": "pickle"}, "storage_key": KEY},
        "result": base64.b64encode(pickle.dumps(Bomb())).decode(),
    }


PLANTED = {
    "empty": lambda good, marker: "",
    "cut": lambda good, marker: "{",
    "deep": lambda good, marker: "[" * 100_000,
    "not text": lambda good, marker: "\udcff\udcfe",
    "null": lambda good, marker: "null",
    "prefect": lambda good, marker: json.dumps(pickled_record(marker)),
    "prefect and ours": lambda good, marker: json.dumps(good | pickled_record(marker)),
    "extra field": lambda good, marker: json.dumps(good | {"note": "more"}),
    "other format": lambda good, marker: json.dumps(good | {"format": 2}),
    "other type": lambda good, marker: json.dumps(good | {"version": "1"}),
    "no shards": lambda good, marker: json.dumps(good | {"output": {"table": "logps"}}),
    "path for a digest": lambda good, marker: json.dumps(good).replace(
        'sha256": "', 'sha256": "../'
    ),
}


def test_planted_pickle_is_armed(tmp_path):
    pickle.loads(base64.b64decode(pickled_record(tmp_path / "executed")["result"]))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("plant", PLANTED)
def test_planted_manifest_does_nothing_and_is_not_found(store, tmp_path, plant):
    store.put_manifest(manifest(artifact(store.put_table("logps", logps(1.0)))))
    path, marker = store.manifest_path("score", KEY), tmp_path / "executed"
    planted = PLANTED[plant](json.loads(path.read_text()), marker)
    path.write_bytes(planted.encode("utf-8", "surrogateescape"))
    found, reason = store.lookup("score", KEY)
    assert found is None
    assert "cannot be read (ValidationError)" in reason
    assert list(store.manifests()) == []
    assert not marker.exists()


@pytest.mark.parametrize(("stage", "key"), [("score", "6" * 64), ("select", KEY)])
def test_manifest_under_a_name_that_is_not_its_own_is_not_found(store, stage, key):
    store.put_manifest(manifest(artifact(store.put_table("logps", logps(1.0)))))
    foreign = store.manifest_path(stage, key)
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_bytes(store.manifest_path("score", KEY).read_bytes())
    assert store.lookup(stage, key) == (None, "its manifest belongs to another result")
    assert len(list(store.manifests())) == 1


def test_manifests_come_newest_first_and_without_those_just_forgotten(store):
    output = artifact(store.put_table("logps", logps(1.0)))
    for age, key in enumerate("678"):
        store.put_manifest(manifest(output, key=key * 64))
        os.utime(store.manifest_path("score", key * 64), (1e9 - age, 1e9 - age))
    # As a file looks that somebody removed after the folder was listed.
    store.manifest_path("score", "9" * 64).symlink_to("nowhere")
    assert [m.key[0] for m in store.manifests()] == ["6", "7", "8"]
