"""Labels of schema 1 are verdicts now: none is lost or changed, and an earlier prefopt sees them.

Files are made and read here as earlier versions did, by their own statements.
"""

import sqlite3
import struct
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from tests.verdicts import SKIPPED, about

EARLIER = """
CREATE TABLE IF NOT EXISTS labels (
    annotator TEXT NOT NULL,   -- name and settings, canonical JSON
    guidelines TEXT NOT NULL,  -- version of what the annotator was told
    prompt_id TEXT NOT NULL,
    responses TEXT NOT NULL,   -- canonical JSON list of candidate ids, in the order shown
    score REAL,                -- NULL: the annotator gave no verdict
    bought_at REAL NOT NULL,   -- seconds since 1970
    PRIMARY KEY (annotator, guidelines, prompt_id, responses)
) WITHOUT ROWID
"""
RULES = '{"function":{"function":"score"}}'
MARY = '{"function":{"function":"score"},"name":"Mary"}'
ODD = (0.1 + 0.2, 1 / 3, 0.0, 5e-324, -1.7976931348623157e308, 2.0**53 + 2, 1e23, 7.0)
ROWS = [
    *((RULES, "1", f"p{i}", f'["r{i}"]', score, 1.7e9 + i / 3) for i, score in enumerate(ODD)),
    (RULES, "1", "mute", '["r"]', None, 1.7e9),
    (RULES, "2", "p0", '["r0"]', 0.25, 1.8e9),
    (MARY, "1", "p0", '["r0"]', 0.5, 1.9e9),
    (MARY, "1", "p0", '["ä \\"quoted\\" id"]', None, 1.9e9 + 0.001),
]
OPEN = """
import sys, time
from pathlib import Path
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore

store, go_on = LabelStore(Path(sys.argv[1])), Path(sys.argv[2])
print("ready", flush=True)
while not go_on.exists():
    time.sleep(0.001)
print(sum(count for *_, count in store.counts()))
"""

READ_ONLY = f"""
import sqlite3, subprocess, sys
from pathlib import Path
from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.batch import open_batches
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore

root = Path(sys.argv[1])
store = LabelStore(root)
with sqlite3.connect(store.path) as older:
    older.execute({EARLIER!r})
    older.execute("INSERT INTO labels VALUES ('me', '1', 'p', '[\\"r\\"]', 0.5, 1.7e9)")
older.close()
subprocess.run(["mount", "-o", "remount,ro", root], check=True)
[label] = [one for own in store.known(AnnotatorIdentity("me", "1")).values() for one in own]
print(label.verdict.scores, open_batches(store), store.servers(AnnotatorIdentity("me", "1")))
try:
    with store.connected() as connection:
        connection.execute("DELETE FROM verdicts")
except StoreError as error:
    print(error)
"""


@pytest.fixture
def earlier(tmp_path):
    """A label store whose file has these rows of schema 1."""

    def earlier(rows=ROWS, folder="store"):
        store = LabelStore(tmp_path / folder)
        store.root.mkdir(exist_ok=True)
        fill(store, rows)
        return store

    return earlier


def fill(store, rows):
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(EARLIER)
        connection.executemany("INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?)", rows)


def bits(score):
    return score if score is None else struct.pack("<d", score)


def rows_of(store, table):
    with closing(sqlite3.connect(store.path)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall()


def said(store, annotator):
    """(prompt_id, responses) → verdict."""
    known = store.known(annotator).values()
    return {(label.prompt_id, label.responses): label.verdict for own in known for label in own}


def test_scores_are_the_same_to_the_last_bit_and_no_score_is_skipped(earlier):
    found = said(earlier(), AnnotatorIdentity(RULES, "1"))
    assert found.pop(("mute", ("r",))) == SKIPPED
    assert [bits(found[f"p{i}", (f"r{i}",)].scores[0]) for i in range(len(ODD))] == [
        *map(bits, ODD)
    ]
    # Mary's judge is of the same content, so her label of p0 is one of these; this one is its own.
    assert found.pop(("p0", ('ä "quoted" id',))) == SKIPPED
    assert len(found) == len(ODD)


def test_names_guidelines_and_times_stay(earlier):
    store = earlier()
    assert said(store, AnnotatorIdentity(RULES, "2")) == {("p0", ("r0",)): Verdict.scored(0.25)}
    mary = AnnotatorIdentity(MARY, "1", called="Mary")
    assert said(store, mary)["p0", ("r0",)] == Verdict.scored(0.5)
    assert store.counts() == [(MARY, "1", 2), (RULES, "1", len(ODD) + 1), (RULES, "2", 1)]
    assert store.sources(mary) == [(MARY, 2, 1.9e9 + 0.001)]
    with store.connected() as connection:
        times = connection.execute("SELECT bought_at FROM verdicts").fetchall()
    assert sorted(times) == sorted((row[-1],) for row in ROWS)


def test_nobody_has_paid_for_them_from_an_account(earlier):
    with earlier().connected() as connection:
        assert connection.execute("SELECT DISTINCT account FROM verdicts").fetchall() == [("",)]
        assert connection.execute("SELECT * FROM accounts").fetchall() == []


@settings(max_examples=20)
@given(scores=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_whatever_the_scores_were_an_earlier_prefopt_finds_them_again(scores, tmp_path_factory):
    store = LabelStore(tmp_path_factory.mktemp("labels"))
    rows = [(RULES, "1", f"p{i}", f'["r{i}"]', score, i) for i, score in enumerate(scores)]
    fill(store, rows)
    before = rows_of(store, "labels")
    store.counts()
    after = rows_of(store, "labels")
    assert (before, [bits(row[4]) for row in before]) == (after, [bits(row[4]) for row in after])


def test_a_file_that_is_opened_again_stays_as_it_is(earlier):
    store = earlier()
    store.counts()
    once = {table: rows_of(store, table) for table in ("verdicts", "labels")}
    store.counts()
    assert {table: rows_of(store, table) for table in ("verdicts", "labels")} == once
    assert rows_of(store, "labels") == sorted(ROWS, key=lambda row: row[:4])


@pytest.mark.slow
def test_two_processes_at_once_move_each_label_once(earlier, start, tmp_path):
    many = [(RULES, "1", f"p{i:05}", '["r"]', i / 7, 1.7e9) for i in range(5_000)]
    store, go_on = earlier(many), tmp_path / "go-on"
    processes = [start(OPEN, store.root, go_on) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    go_on.touch()
    assert [process.communicate(timeout=60)[0] for process in processes] == ["5000\n"] * 2
    assert rows_of(store, "labels") == many


@pytest.mark.slow
def test_a_killed_move_is_done_as_a_whole_or_not_at_all(earlier, start, tmp_path):
    many = [(RULES, "1", f"p{i:06}", '["r"]', i / 7, 1.7e9) for i in range(40_000)]
    go_on, found = tmp_path / "go-on", set()
    go_on.touch()
    for number in range(4):
        store = earlier(many, f"store{number}")
        process = start(OPEN, store.root, go_on)
        process.stdout.readline()
        time.sleep(0.1 * number)
        process.kill()
        process.wait(10)
        with closing(sqlite3.connect(store.path)) as connection:
            kind = "SELECT type FROM sqlite_master WHERE name = 'labels'"
            found.add(connection.execute(kind).fetchone()[0])
        assert rows_of(store, "labels") == many
        assert store.counts() == [(RULES, "1", 40_000)]
    assert "table" in found  # one was killed before its move was done


def test_an_earlier_prefopt_finds_its_labels_and_cannot_write(earlier):
    store = earlier()
    with buying(store, AnnotatorIdentity(RULES, "1")) as purchase:
        purchase.commit(about("new", "r"), Verdict.scored(0.75))
        purchase.commit(about("by name", "r"), Verdict.scored(1.0, by="Mary"))
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute(EARLIER)  # as it did whenever it opened the file
        found = connection.execute(
            "SELECT prompt_id, responses, score FROM labels WHERE annotator = ? AND guidelines = ?",
            (RULES, "1"),
        ).fetchall()
        assert ("new", '["r"]', 0.75) in found
        assert ("mute", '["r"]', None) in found
        assert len(found) == len(ODD) + 2  # none of a person, whom it does not know
        with pytest.raises(sqlite3.OperationalError, match="cannot modify labels because it is a"):
            connection.execute(
                "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?)", (RULES, "1", "p", "[]", 1.0, 1.0)
            )
        with pytest.raises(sqlite3.OperationalError, match="cannot modify labels because it is a"):
            connection.execute("UPDATE OR IGNORE labels SET annotator = ''")


@pytest.mark.slow
def test_a_store_of_an_earlier_version_can_be_read_where_nothing_can_be_written(small_disk):
    read, _, refused = small_disk(READ_ONLY).partition("\n")
    assert read == "(0.5,) [] []"
    assert "attempt to write a readonly database" in refused
