"""Telling others how far a desk is: when it changes, and never at the cost of who answers."""

import time
from threading import Event

from flows.desk.watching import watched
from flows.server import show_progress
from prefopt_core.labels.desk import Desk
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import LabelStore
from tests.people import leave, question_on


def say(desk):
    (question,) = desk.ahead("Ada")
    assert desk.record(*question.key, Verdict("tie", by="Ada")) == "kept"


def test_the_progress_is_told_when_it_changes_and_not_more_often(store):
    kept = LabelStore.of(store)
    desk = Desk(kept, leave(kept, [question_on(i) for i in range(4)]))
    told, came = [], Event()

    def tell(progress):
        told.append(progress.given)
        came.set()

    with desk.kept_open(), watched(desk, tell, every_s=0.3):
        time.sleep(0.7)
        assert told == []
        say(desk)
        say(desk)
        assert came.wait(20)
        time.sleep(0.7)
    assert told[-1] == 2
    assert len(told) <= 2


def test_a_listener_that_hangs_keeps_nobody_from_answering(store):
    kept = LabelStore.of(store)
    desk = Desk(kept, leave(kept, [question_on(i) for i in range(4)]))
    hangs, goes_on = Event(), Event()

    def tell(progress):
        hangs.set()
        goes_on.wait(30)

    with desk.kept_open(), watched(desk, tell, every_s=0.05):
        say(desk)
        assert hangs.wait(20)
        say(desk)
        assert desk.progress().given == 2
    goes_on.set()


def test_a_server_that_is_gone_is_no_failure(store, monkeypatch, tools):
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{tools.free_port()}/api")
    kept = LabelStore.of(store)
    batch = leave(kept, [question_on(1)])
    show_progress(store, batch, Desk(kept, batch).progress())
