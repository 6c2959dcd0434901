"""What the last run left for `prefopt export`."""

import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.store import maintenance
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.last_run import latest_preferences, note_latest
from prefopt_core.store.store import Store


def test_the_pairs_of_every_round_of_the_last_run_are_found(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=r"No run has ended.*--artifact"):
        latest_preferences(store)
    for rounds in ([], [Artifact(table="preferences", shards=())] * 2):
        note_latest(store, rounds)
        assert latest_preferences(store) == rounds


def test_what_a_kill_leaves_of_it_is_collected(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    note_latest(store, [])
    monkeypatch.setattr("prefopt_core.ground.files.publish", die)
    monkeypatch.setattr("pathlib.Path.unlink", lambda *arguments, **options: None)
    with pytest.raises(KeyboardInterrupt):
        note_latest(store, [Artifact(table="preferences", shards=())])
    monkeypatch.undo()
    assert maintenance.collect_garbage(store)[0] == 1
    assert latest_preferences(store) == []


def die(source, target):
    raise KeyboardInterrupt
