import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.account import balance_of
from prefopt_core.labels.batch import open_batches
from prefopt_core.labels.desk import Desk
from prefopt_core.labels.purchase import write_verdict
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.ledger import transaction
from tests.people import leave, question_on


@pytest.fixture
def kept(tmp_path):
    return LabelStore(tmp_path)


def first_is_better(by, **more):
    return Verdict.preferred(1.0, by=by, seconds=2.0, **more)


def answer(desk, by, count=1):
    """Answer the next questions; returns them as they were shown."""
    answered = []
    for _ in range(count):
        (question,) = desk.ahead(by)
        assert desk.record(*question.key, first_is_better(by)) != "refused"
        answered.append(question)
    return answered


def test_questions_come_in_the_order_asked_with_their_texts(kept):
    questions = [question_on(i) for i in range(5)]
    desk = Desk(kept, leave(kept, questions))
    asked = answer(desk, "Ada", 5)
    assert [q.compared for q in asked] == [q.compared for q in questions]
    assert [q.prompt for q in asked] == [q.prompt for q in questions]
    assert {s.text for s in asked[0].responses} == {s.text for s in questions[0].responses}
    assert desk.ahead("Ada") == []


def test_each_person_sees_half_the_questions_in_the_order_drawn_and_always_in_the_same(kept):
    questions = [question_on(i) for i in range(200)]
    batch = leave(kept, questions, people=9)
    drawn = {q.compared: q.key for q in questions}
    turned = {}
    for by in ("Ada", "Ben"):
        seen = Desk(kept, batch).ahead(by, 200)
        assert seen == Desk(kept, batch).ahead(by, 200)
        turned[by] = [q.key != drawn[q.compared] for q in seen]
        assert 70 < sum(turned[by]) < 130
    assert 70 < sum(a != b for a, b in zip(*turned.values(), strict=True)) < 130


def test_a_verdict_and_its_payment_are_on_disk_together(kept):
    desk = Desk(kept, leave(kept, [question_on(i) for i in range(3)], account="us", price=0.25))
    (question,) = desk.ahead("Ada")
    assert desk.record(*question.key, first_is_better("Ada", why="shorter")) == "kept"
    with kept.connected() as connection:
        balance = balance_of(connection, "us")
        row = connection.execute(
            "SELECT responses, said_by, state, said, why, seconds, account FROM verdicts"
        ).fetchone()
    assert (balance.labels, balance.cost, balance.held_labels) == (1, 0.25, 2)
    shown = [s.candidate_id for s in question.responses]
    assert json.loads(row[0]) == shown
    assert row[1:] == ("Ada", "given", '{"preference": 1.0}', "shorter", 2.0, "us")


def test_a_question_is_answered_once_by_a_person_and_by_as_many_people_as_it_is_for(kept):
    desk = Desk(kept, leave(kept, [question_on(1)], people=2))
    (question,) = answer(desk, "Ada")
    assert desk.record(*question.key, first_is_better("Ada")) == "refused"
    assert desk.record(*question.turned().key, first_is_better("Ada")) == "refused"
    (same,) = answer(desk, "Ben")
    assert same.compared == question.compared
    assert desk.record(*question.key, first_is_better("Eve")) == "refused"
    assert desk.ahead("Eve") == []
    assert open_batches(kept) == []


def test_what_was_not_asked_or_not_in_this_order_is_refused(kept):
    desk = Desk(kept, leave(kept, [question_on(1)]))
    (question,) = desk.ahead("Ada")
    assert desk.record(*question.turned().key, first_is_better("Ada")) == "refused"
    assert desk.record(*question_on(2).key, first_is_better("Ada")) == "refused"
    with pytest.raises(ValueError, match="does not fit"):
        desk.record(*question.key, Verdict.scored(1.0, by="Ada"))
    assert desk.progress().given == 0


def test_two_people_are_not_shown_the_last_question_at_once_but_it_is_not_lost(kept):
    batch = leave(kept, [question_on(1), question_on(2)])
    desk = Desk(kept, batch)
    (first,) = desk.ahead("Ada")
    (second,) = desk.ahead("Ben")
    assert first.compared != second.compared
    answer(desk, "Ben")
    assert desk.ahead("Ben") == []
    assert [q.compared for q in Desk(kept, batch).ahead("Ben")] == [first.compared]  # Ada is gone


def test_undo_takes_back_the_last_verdict_of_a_person_and_its_payment(kept):
    questions = [question_on(i) for i in range(4)]
    desk = Desk(kept, leave(kept, questions, account="us", price=0.5))
    ada = answer(desk, "Ada", 2)
    answer(desk, "Ben")
    assert desk.undo("Ada")
    with kept.connected() as connection:
        balance = balance_of(connection, "us")
    assert (balance.labels, balance.cost, balance.held_labels) == (2, 1.0, 2)
    assert desk.ahead("Ada") == ada[1:]
    assert desk.undo("Ada")
    assert not desk.undo("Ada")
    assert desk.ahead("Ada") == ada[:1]
    assert [pace.by for pace in desk.progress().people] == ["Ben"]


def test_undo_leaves_alone_what_was_given_before_and_what_a_run_may_have_taken(kept):
    batch = leave(kept, [question_on(i) for i in range(2)])
    answer(Desk(kept, batch), "Ada")
    desk = Desk(kept, batch)
    assert not desk.undo("Ada")
    answer(desk, "Ada")
    assert not desk.undo("Ada")  # complete: its run goes on
    leave(kept, [question_on(9)])  # of the next round
    assert not desk.undo("Ada")


def test_progress_is_of_what_is_asked_now_and_says_who_gave_how_much(kept):
    batch = leave(kept, [question_on(i) for i in range(3)])
    desk = Desk(kept, batch)
    answer(desk, "Ada", 3)
    assert (desk.progress().given, desk.progress().wanted) == (3, 3)
    leave(kept, [question_on(i) for i in range(3, 8)])
    for by, seconds in (("Ada", 4.0), ("Ben", 1.0), ("Ben", 3.0)):
        (question,) = desk.ahead(by)
        desk.record(*question.key, Verdict("skipped", by=by, seconds=seconds))
    progress = desk.progress()
    assert (progress.given, progress.wanted, progress.left) == (3, 5, 2)
    assert [(p.by, p.labels, p.seconds) for p in progress.people] == [
        ("Ben", 2, 2.0), ("Ada", 1, 4.0),
    ]  # fmt: skip


def test_batches_are_apart_by_annotator_guidelines_and_account(kept):
    one = leave(kept, [question_on(1)], account="a")
    two = leave(kept, [question_on(2)], account="b", guidelines="2")
    three = leave(kept, [question_on(3), question_on(4)], account="b", name="panel")
    found = dict(open_batches(kept))
    assert {batch: progress.left for batch, progress in found.items()} == {one: 1, two: 1, three: 2}
    assert three.identity.called == "panel"
    answer(Desk(kept, one), "Ada")
    assert [batch for batch, _ in open_batches(kept)] == [two, three]


def test_labels_that_lie_under_a_name_of_the_same_people_are_not_asked_again(kept):
    named = leave(kept, [question_on(1)], name="panel")
    (question,) = answer(Desk(kept, named), "Ada")
    unnamed = leave(kept, [question_on(1), question_on(2)])
    desk = Desk(kept, unnamed)
    assert [q.prompt_id for q in desk.ahead("Ben", 2)] == [question_on(2).prompt_id]
    assert question.prompt_id == question_on(1).prompt_id
    assert not desk.undo("Ada")  # it was paid from another batch


def test_many_people_at_once_give_each_label_once(kept):
    batch = leave(kept, [question_on(i) for i in range(40)], people=2, account="us")

    def work(by):
        desk, given = Desk(kept, batch), 0  # as in processes of their own: no screens are known
        while ahead := desk.ahead(by):
            given += desk.record(*ahead[0].key, first_is_better(by)) != "refused"
        return given

    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(work, ["Ada", "Ben", "Eve", "Dan"]))
    assert sum(given) == 80
    with kept.connected() as connection:
        assert balance_of(connection, "us").labels == 80
        per_question = connection.execute(
            "SELECT COUNT(DISTINCT said_by), COUNT(*) FROM verdicts GROUP BY prompt_id"
        ).fetchall()
    assert set(per_question) == {(2, 2)}


def test_a_disk_that_is_full_keeps_neither_the_verdict_nor_the_payment(kept):
    desk = Desk(kept, leave(kept, [question_on(1)], account="us"))
    (question,) = desk.ahead("Ada")
    with sqlite3.connect(kept.path) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON accounts BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with pytest.raises(Exception, match="full"):
        desk.record(*question.key, first_is_better("Ada"))
    assert desk.ahead("Ada") == [question]


def test_undo_takes_back_what_was_said_here_last_whatever_came_from_elsewhere_or_the_clock_says(
    kept,
):
    questions = [question_on(i) for i in range(3)]
    batch = leave(kept, questions, people=2, account="team")
    desk = Desk(kept, batch)
    (answered,) = answer(desk, "Ada")
    with kept.connected() as connection, transaction(connection):
        there = (one for one in questions if one.compared != answered.compared)
        write_verdict(connection, batch.identity, next(there), first_is_better("Ada"), "", at=9e9)
        connection.execute("UPDATE verdicts SET bought_at = 0 WHERE account = 'team'")
    assert [desk.undo("Ada"), desk.undo("Ada")] == [True, False]
    with kept.connected() as connection:
        assert balance_of(connection, "team").labels == 0
        assert connection.execute("SELECT bought_at FROM verdicts").fetchall() == [(9e9,)]


def test_an_open_desk_shows_nothing_that_others_have_answered_meanwhile(kept):
    batch = leave(kept, [question_on(i) for i in range(4)])
    here, there = Desk(kept, batch), Desk(kept, batch)
    with here.kept_open(), there.kept_open():
        assert len(here.ahead("Ada", 4)) == 4
        answered = answer(there, "Ben", 3)
        (left,) = here.ahead("Ada", 4)
        assert left not in answered
        answer(there, "Ben")
        assert here.ahead("Ada") == []
        assert here.record(*left.key, first_is_better("Ada")) == "refused"
        leave(kept, [question_on(9)])  # of the next round
        assert [q.prompt_id for q in here.ahead("Ada")] == [question_on(9).prompt_id]


def test_of_two_open_desks_one_learns_that_the_last_label_came(kept):
    batch = leave(kept, [question_on(i) for i in range(6)])
    desks = {"Ada": Desk(kept, batch), "Ben": Desk(kept, batch)}
    became = []
    with desks["Ada"].kept_open(), desks["Ben"].kept_open():
        for by in ("Ada", "Ben") * 3:
            (question,) = desks[by].ahead(by)
            became.append(desks[by].record(*question.key, first_is_better(by)))
        assert not desks["Ben"].undo("Ben")
        assert desks["Ada"].progress().left == 0
    assert became == ["kept"] * 5 + ["last"]


def test_an_undo_at_an_open_desk_brings_its_question_back_to_all(kept):
    batch = leave(kept, [question_on(i) for i in range(3)])
    desk = Desk(kept, batch)
    with desk.kept_open():
        (question,) = answer(desk, "Ada")
        assert desk.undo("Ada")
        assert desk.ahead("Ben") == [q for q in desk.ahead("Ben", 3) if q.key[0] == question.key[0]]
        assert desk.progress().given == 0


def test_no_verdict_goes_into_a_file_that_was_replaced(kept):
    desk = Desk(kept, leave(kept, [question_on(1)]))
    with desk.kept_open():
        (question,) = desk.ahead("Ada")
        kept.path.rename(kept.path.with_suffix(".old"))
        with pytest.raises(StoreError, match="was moved or replaced"):
            desk.record(*question.key, first_is_better("Ada"))


class Counting(LabelStore):
    """Counts what SQLite does, in hundreds of its instructions."""

    steps = 0

    @contextmanager
    def connected(self):
        with super().connected() as connection:
            connection.set_progress_handler(self._count, 100)
            yield connection

    def _count(self):
        self.steps += 1


def test_what_a_verdict_costs_does_not_grow_with_what_was_asked(tmp_path):
    steps = []
    for number in (30, 600):
        kept = Counting(tmp_path / str(number))
        desk = Desk(kept, leave(kept, [question_on(i) for i in range(number)]))
        with desk.kept_open():
            answer(desk, "Ada", 10)
            before = kept.steps
            answer(desk, "Ada", 10)
            steps.append(kept.steps - before)
    assert 0 < steps[1] < 2 * steps[0]
