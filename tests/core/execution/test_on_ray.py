"""Shards on a Ray cluster of two nodes: the same results, whatever dies."""

import os
from pathlib import Path

import pytest

from prefopt_core.ground.errors import ConfigError, DataError, PrefoptError

pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture
def cluster(folder, monkeypatch):
    """Settings that join a cluster whose head computes nothing, and two nodes of one core do."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # no token of the user's home
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, folder))))
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield {"runner": "ray", "address": made.address}
    made.shutdown()


def test_killed_actor_with_a_queued_shard_costs_one_shard_once_more(scored, cluster, caplog):
    made = scored("die_once", **cluster)
    assert len(made.calls["c2"]) == 2
    assert sum(map(len, made.calls.values())) == 9  # what was queued behind it ran once
    assert {gpus for calls in made.calls.values() for _, gpus in calls} == {"None"}
    assert "score, shard 3 of 8: its worker is gone" in caplog.text
    found = scored("die_once")  # by this process, under the same keys
    assert (found.outcome.value, found.outcome.hits) == (made.outcome.value, 8)


def test_lost_node_costs_the_shards_it_was_at(scored, cluster, store):
    made = scored("lose_the_node_once", **cluster)
    assert store.read(made.outcome.value)["logps"].to_list() == [float(i) for i in range(8)]
    assert len(made.calls["c2"]) == 2


def test_what_cannot_be_is_told_before_it_is_waited_for(scored, cluster):
    with pytest.raises(ConfigError, match=r"1 cores and 4 GPUs, and no node .* 2 cores and 0 G"):
        scored(**cluster, stages={"score": {"gpus": 4}})
    with pytest.raises(DataError, match=r"^row 3 is empty$"):
        scored("refuse", **cluster)
    with pytest.raises(PrefoptError, match="shard 3 of 8 lost its worker 2 times"):
        scored("die", **cluster, attempts=2)


def test_cluster_that_is_not_there_is_named(scored, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(PrefoptError, match=r"No Ray cluster at 127.0.0.1:1: .*`ray start --head`"):
        scored(runner="ray", address="127.0.0.1:1")
