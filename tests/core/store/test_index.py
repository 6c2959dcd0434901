"""The index of manifests: quick, and never believed over what lies there."""

import os
import threading

import polars as pl
import pytest

from prefopt_core.store import maintenance
from prefopt_core.store.index import entries, indexed
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store

READ_ONLY = """
import subprocess, sys
from pathlib import Path
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store import maintenance
from prefopt_core.store.store import Store
from tests.core.store.test_index import SCORE
from tests.verdicts import about

store = Store(Path(sys.argv[1]))
made = SCORE.run(store, {"seed": 1}).value
with buying(LabelStore(store.root), AnnotatorIdentity("me", "1")) as purchase:
    purchase.commit(about("p", "a"), Verdict.scored(1.0))
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
print([held.results for held in maintenance.holdings(store)])
print([problem for _, problem in maintenance.verify(store)])
print(SCORE.run(store, {"seed": 1}).value == made)
print(LabelStore(store.root).counts())
print(sorted(path.name for path in store.root.iterdir()))
"""


def score(seed):
    return pl.DataFrame({"candidate_id": ["a"], "logps": [float(seed)]})


SCORE = Stage("score", score, 1, "logps")


def made(store, *seeds):
    return [SCORE.run(store, {"seed": seed}).value for seed in seeds]


def held(store):
    return [entry.output for entry in entries(indexed(store))]


def test_index_says_what_the_manifests_say(store):
    outputs = made(store, 0, 1, 2)
    for _ in ("made", "read"):
        assert held(store) == outputs[::-1]  # newest first
    truth = {(m.stage, m.key, m.created, m.output) for m in store.manifests()}
    assert {(e.stage, e.key, e.created, e.output) for e in entries(indexed(store))} == truth


def test_manifests_that_did_not_change_are_not_read_again(store, monkeypatch):
    made(store, 0, 1)
    indexed(store)
    made(store, 2)
    read = []
    monkeypatch.setattr("prefopt_core.store.index.read_manifest", lambda path: read.append(path))
    indexed(store)
    assert len(read) == 1


@pytest.mark.parametrize(
    "damage",
    {
        "gone": lambda path: path.unlink(),
        "empty": lambda path: path.write_bytes(b""),
        "garbage": lambda path: path.write_bytes(os.urandom(3000)),
        "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
        "flipped": lambda path: path.write_bytes(path.read_bytes().replace(b"logps", b"logpt")),
        "other version": lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"2", 1)),
        "a folder": lambda path: (path.unlink(), path.mkdir()),
    }.values(),
    ids=lambda damage: "",
)
def test_index_that_is_gone_or_damaged_is_made_again(store, damage):
    outputs = made(store, 0, 1)
    indexed(store)
    damage(store.root / "index")
    assert held(store) == outputs[::-1]
    assert [h.results for h in maintenance.holdings(store)] == [2]


def test_old_index_put_back_is_no_more_believed_than_what_lies_there(store):
    made(store, 0, 1)
    indexed(store)
    old = (store.root / "index").read_bytes()
    maintenance.remove(store, made(store, 0)[0].digest)
    (new,) = made(store, 5)
    indexed(store)
    (store.root / "index").write_bytes(old)
    assert held(store) == [new, *made(store, 1)]


def test_damaged_manifest_leaves_the_index(store):
    made(store, 0)
    indexed(store)
    (path,) = (store.root / "manifests").glob("*/*.json")
    path.write_text("{")
    assert held(store) == []


def test_result_without_a_manifest_is_not_listed_until_it_is_committed(store, monkeypatch):
    indexed(store)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_manifest", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # the object is there, its manifest is not
            made(store, 0)
    assert held(store) == []
    outputs = made(store, 0)
    assert held(store) == outputs


def test_threads_may_write_results_and_the_index_at_once(store):
    def work(first):
        for seed in range(first, first + 10):
            made(store, seed)
            indexed(store)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held(store)) == 30


def test_garbage_is_collected_by_the_manifests_not_by_the_index(store):
    (output,) = made(store, 0)
    indexed(store)
    old = (store.root / "index").read_bytes()
    (later,) = made(store, 1)
    (store.root / "index").write_bytes(old)
    assert maintenance.collect_garbage(store) == (0, 0)
    assert [store.check(o) for o in (output, later)] == ["", ""]


@pytest.mark.slow
def test_store_that_cannot_be_written_is_listed_verified_and_hit(small_disk):
    listed, verified, hit, labels, there = small_disk(READ_ONLY).splitlines()
    assert (listed, verified, hit) == ("[1]", "['']", "True")
    assert labels == "[('me', '1', 1)]"
    assert "index" not in there
