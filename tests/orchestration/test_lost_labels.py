"""Labels that were changed, or lost: refused, found, and put back from the tables that hold them.

All in one store of a run that needs no model; its labels are damaged in each test anew.
"""

import sqlite3
from contextlib import closing

import pytest

from prefopt_core.labels.store import LabelStore


@pytest.fixture
def labelled(given_candidates, prefopt, store, config_file):
    """Run it; returns (its file, the label store, its 8 verdicts by key)."""
    config = config_file(given_candidates)
    assert prefopt("run", config, "--no-server")[0] == 0
    kept = LabelStore(store.root)
    return config, kept, said(kept)


def said(kept):
    with kept.connected() as connection:
        rows = connection.execute(
            "SELECT prompt_id, responses, said_by, state, said, account FROM verdicts"
        ).fetchall()
    return {row[:3]: row[3:] for row in rows}


def spent(kept):
    with kept.connected() as connection:
        return connection.execute("SELECT account, labels FROM accounts").fetchall()


def change(kept, *statements):
    with closing(sqlite3.connect(kept.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


ONE = "WHERE prompt_id = (SELECT MIN(prompt_id) FROM verdicts)"
CHANGES = [
    f"UPDATE verdicts SET said = '{{\"scores\": [9.0]}}' {ONE}",
    f"UPDATE verdicts SET said = '{{\"scores\": [Infinity]}}' {ONE}",
    f'UPDATE verdicts SET said = \'{{"scores": ["good"]}}\' {ONE}',
    f"UPDATE verdicts SET state = 'skipped', said = '{{}}' {ONE}",
    f"UPDATE verdicts SET responses = 'no list' || responses {ONE}",
    f"UPDATE verdicts SET said_by = CAST(x'ff00' AS TEXT) {ONE}",
    f"UPDATE verdicts SET why = x'ff' {ONE}",
]


@pytest.mark.slow
@pytest.mark.parametrize("statement", CHANGES)
def test_a_changed_label_is_refused_and_put_back_from_its_table(labelled, prefopt, statement):
    config, kept, before = labelled
    change(kept, statement)
    code, _, told = prefopt("run", config, "--no-server", "--refresh", "annotate")
    assert code == 2
    assert "labels verify" in told
    assert "Traceback" not in told
    code, output, told = prefopt("labels", "verify")
    assert code == 2
    assert f"2 of 8 labels in {kept.path} were changed" in " ".join(told.split())
    assert len(output.splitlines()) == 2
    assert "2 changed labels would be taken out" in prefopt("labels", "rebuild")[1]
    code, output, _ = prefopt("labels", "rebuild", "--yes")
    assert code == 0
    assert "2 labels put back" in output
    assert said(kept) == before
    assert len([*kept.root.glob("labels-damaged-*.sqlite")]) == 1
    assert prefopt("labels", "verify")[0] == 0
    assert prefopt("run", config, "--no-server", "--refresh", "annotate")[0] == 0
    assert said(kept) == before


def test_lost_labels_are_told_before_they_are_bought_again_and_put_back(
    labelled, prefopt, config_file, given_candidates
):
    config, kept, before = labelled
    paid = spent(kept)
    with kept.connected() as connection:
        texts = connection.execute("SELECT * FROM texts").fetchall()
    for file in kept.root.glob("labels.sqlite*"):
        file.unlink()
    other = config_file(given_candidates | {"seed": 1})
    warned = "8 labels of this annotator were bought before"
    assert warned in " ".join(prefopt("plan", other)[1].split())
    assert "8 labels put back" in prefopt("labels", "rebuild", "--yes")[1]
    assert said(kept) == before
    assert spent(kept) == paid
    with kept.connected() as connection:
        assert connection.execute("SELECT * FROM texts").fetchall() == texts
    assert warned not in " ".join(prefopt("plan", other)[1].split())
    assert prefopt("labels", "rebuild", "--yes")[1].startswith("Nothing to do")
    assert prefopt("run", config, "--no-server", "--refresh", "annotate")[0] == 0
    assert said(kept) == before


def test_labels_of_the_version_before_get_digests_and_a_label_that_is_there_stays(
    labelled, prefopt
):
    _, kept, before = labelled
    newer = f"UPDATE verdicts SET said = '{{\"scores\": [7.5]}}' {ONE}"
    change(
        kept,
        newer,
        "ALTER TABLE verdicts DROP COLUMN digest",
        f"DELETE FROM verdicts {ONE.replace('MIN', 'MAX')}",
    )
    assert "2 labels put back" in prefopt("labels", "rebuild", "--yes")[1]
    after = said(kept)
    assert after.keys() == before.keys()
    assert sum(after[key] != before[key] for key in before) == 2  # which nobody can tell any more
    assert prefopt("labels", "verify")[0] == 0
