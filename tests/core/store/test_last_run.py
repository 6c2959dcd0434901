"""What the last run left for `prefopt export`."""

import pytest

from prefopt_core.ground.errors import StoreError
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
