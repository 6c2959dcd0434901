"""The file of labels: a label is on disk when it is committed, whatever the disk does next."""

import json
import sqlite3
from contextlib import closing
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.holdings import holdings
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import STATES, Verdict
from prefopt_core.labels.store import AnnotatorIdentity, Label, LabelStore
from tests.verdicts import about, question

ME = AnnotatorIdentity("me", "1")

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
usages = st.builds(Usage, *[st.none() | st.integers(0, 2**40)] * 2, st.none() | numbers)
more = {"by": texts, "why": texts, "usage": usages, "seconds": st.none() | numbers}
verdicts = st.one_of(
    st.builds(Verdict, st.sampled_from([s for s in STATES if s != "given"]), **more),
    st.builds(Verdict.preferred, st.floats(0, 1), **more),
    st.lists(numbers, min_size=1, max_size=3).flatmap(
        lambda scores: st.builds(Verdict.scored, *map(st.just, scores), **more)
    ),
)

FILL_THE_DISK = """
import sys
from pathlib import Path
from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from tests.verdicts import about

store, me = LabelStore(Path(sys.argv[1]) / "store"), AnnotatorIdentity("me", "1")
ballast, bought = Path(sys.argv[1]) / "ballast", 0
with buying(store, me):
    pass
ballast.write_bytes(bytes(1_800_000))
def buy():
    global bought
    with buying(store, me) as purchase:
        while bought < 100:
            purchase.commit(about(f"prompt {bought}", "x" * 20), Verdict.scored(0.5))
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
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from tests.verdicts import about

store, me = LabelStore(Path(sys.argv[1])), AnnotatorIdentity("me", "1")
with buying(store, me) as purchase:
    purchase.commit(about("p", "r"), Verdict.scored(0.5))
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
try:
    with buying(store, me):
        print("bought")
except StoreError as error:
    print(error)
"""


def test_label_is_on_disk_when_commit_returns(tmp_path):
    store = LabelStore(tmp_path)
    verdict = Verdict.preferred(
        0.25, by="Mary", why="It is short.", usage=Usage(3, None, 0.5), seconds=2.5
    )
    with buying(store, ME) as purchase:
        purchase.commit(about("p", "b", "a"), verdict)
        other = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)
        columns = "prompt_id, responses, compared, said_by, state, said, why, cost, seconds"
        rows = other.execute(f"SELECT {columns} FROM verdicts").fetchall()
        other.close()
    said = ("Mary", "given", '{"preference": 0.25}', "It is short.", 0.5, 2.5)
    assert rows == [("p", '["b","a"]', '["a","b"]', *said)]
    assert sqlite3.connect(store.path).execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.known(ME) == {("p", ("a", "b")): [Label("p", ("b", "a"), verdict)]}
    assert store.known(AnnotatorIdentity("you", "1")) == {}
    assert store.known(AnnotatorIdentity("me", "2")) == {}


@given(verdict=verdicts)
def test_a_verdict_comes_back_as_it_was_given(verdict, tmp_path_factory):
    store = LabelStore(tmp_path_factory.mktemp("labels"))
    question = about("p", *"cab"[: len(verdict.scores or "ab")])
    with buying(store, ME) as purchase:
        purchase.commit(question, verdict)
    (label,) = store.known(ME)[question.compared]
    assert label == Label("p", question.key[1], verdict)


def test_texts_of_what_was_asked_are_kept_with_the_labels(tmp_path):
    store, asked = LabelStore(tmp_path), question("Wie geht’s?", "So.", "Gut.")
    with buying(store, ME) as purchase:
        purchase.commit(asked, Verdict("tie"))
        purchase.commit(asked.turned(), Verdict("tie"))
    with store.connected() as connection:
        texts = dict(connection.execute("SELECT id, text FROM texts"))
    assert json.loads(texts.pop(asked.prompt_id)) == asked.prompt
    assert texts == {shown.candidate_id: shown.text for shown in asked.responses}


def test_label_cannot_be_bought_twice_by_mistake(tmp_path):
    store = LabelStore(tmp_path)
    with buying(store, ME) as purchase:
        purchase.commit(about("p", "a"), Verdict.scored(0.25))
        with pytest.raises(sqlite3.IntegrityError):
            purchase.commit(about("p", "a"), Verdict.scored(0.5))
        purchase.commit(about("p", "b", "a"), Verdict("tie"))
        purchase.commit(about("p", "a", "b"), Verdict("tie"))  # the order shown counts
        purchase.commit(about("p", "a", "b"), Verdict("tie", by="Mary"))  # and so does who says it
    kept = {compared: len(labels) for compared, labels in store.known(ME).items()}
    assert kept == {("p", ("a",)): 1, ("p", ("a", "b")): 3}


def test_damaged_file_is_named_and_left_alone(tmp_path):
    store = LabelStore(tmp_path)
    store.path.write_text("This is not a database, " * 100)
    before = store.path.read_bytes()
    with pytest.raises(StoreError, match=rf"{store.path}: file is not a database.*Put back a copy"):
        store.known(ME)
    assert store.path.read_bytes() == before


def test_a_flipped_bit_anywhere_is_told_or_changes_no_label(tmp_path):
    store, rng = LabelStore(tmp_path), Random(0)
    for who in (ME, AnnotatorIdentity("you", "1")):
        with buying(store, who) as purchase:
            for number in range(4):
                purchase.commit(about(f"p{number}", "a"), Verdict.scored(0.5))
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    whole, known = store.path.read_bytes(), store.known(ME)
    told = 0
    for _ in range(300):
        broken = bytearray(whole)
        broken[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        for path in tmp_path.glob("labels.sqlite*"):
            path.unlink()
        store.path.write_bytes(broken)
        try:
            store.sources(ME)
            assert store.known(ME).items() <= known.items()
            holdings(store)
        except StoreError:
            told += 1
    assert 0 < told < 300


@pytest.mark.slow
def test_full_disk_loses_no_label_that_was_committed(small_disk):
    message, kept, all_of_them = small_disk(FILL_THE_DISK, kilobytes=2048).splitlines()
    assert "labels.sqlite: database or disk is full. Free some space" in message
    assert (kept, all_of_them) == ("True", "100")


def test_labels_on_a_read_only_disk_say_what_to_do(small_disk):
    assert "Make it writable, or point PREFOPT_STORE elsewhere" in small_disk(READ_ONLY)
