"""The file of labels: a label is on disk when it is committed, whatever the disk does next."""

import sqlite3

import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore

FILL_THE_DISK = """
import sys
from pathlib import Path
from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore

store, me = LabelStore(Path(sys.argv[1]) / "store"), AnnotatorIdentity("me", "1")
ballast, bought = Path(sys.argv[1]) / "ballast", 0
with store.buying(me):
    pass
ballast.write_bytes(bytes(1_800_000))
def buy():
    global bought
    with store.buying(me) as purchase:
        while bought < 100:
            purchase.commit(f"prompt {bought}", ["x" * 20], 0.5)
            bought += 1
try:
    buy()
except StoreError as error:
    print(error)
print(len(store.known(me)) == bought < 100)
ballast.unlink()
buy()
print(len(store.known(me)))
"""
READ_ONLY = """
import subprocess, sys
from pathlib import Path
from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore

store, me = LabelStore(Path(sys.argv[1])), AnnotatorIdentity("me", "1")
with store.buying(me) as purchase:
    purchase.commit("p", ["r"], 0.5)
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
try:
    with store.buying(me):
        print("bought")
except StoreError as error:
    print(error)
"""


def test_label_is_on_disk_when_commit_returns(tmp_path):
    store = LabelStore(tmp_path)
    with store.buying(AnnotatorIdentity("me", "1")) as purchase:
        purchase.commit("p", ["a", "b"], 0.25)
        other = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)
        rows = other.execute("SELECT prompt_id, responses, score FROM labels").fetchall()
        other.close()
    assert rows == [("p", '["a","b"]', 0.25)]
    assert sqlite3.connect(store.path).execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.known(AnnotatorIdentity("me", "1")) == {("p", ("a", "b")): 0.25}
    assert store.known(AnnotatorIdentity("you", "1")) == {}


def test_label_cannot_be_bought_twice_by_mistake(tmp_path):
    with LabelStore(tmp_path).buying(AnnotatorIdentity("me", "1")) as purchase:
        purchase.commit("p", ["a"], 0.25)
        with pytest.raises(sqlite3.IntegrityError):
            purchase.commit("p", ["a"], 0.5)
        purchase.commit("p", ["b", "a"], 0.5)
        purchase.commit("p", ["a", "b"], 0.5)  # the order shown counts


def test_damaged_file_is_named_and_left_alone(tmp_path):
    store = LabelStore(tmp_path)
    store.path.write_text("This is not a database, " * 100)
    before = store.path.read_bytes()
    with pytest.raises(StoreError, match=rf"{store.path}: file is not a database.*put back a copy"):
        store.known(AnnotatorIdentity("me", "1"))
    assert store.path.read_bytes() == before


def test_full_disk_loses_no_label_that_was_committed(small_disk):
    message, kept, all_of_them = small_disk(FILL_THE_DISK, kilobytes=2048).splitlines()
    assert "labels.sqlite: database or disk is full. Free some space" in message
    assert (kept, all_of_them) == ("True", "100")


def test_labels_on_a_read_only_disk_say_what_to_do(small_disk):
    assert "Make it writable, or point PREFOPT_STORE elsewhere" in small_disk(READ_ONLY)
