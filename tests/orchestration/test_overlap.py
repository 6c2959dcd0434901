"""Stages side by side: what runs at once, what stays in order, and how they end together."""

import os
import signal
import time
from threading import Event, Thread

import polars as pl
import pytest
import torch

from prefopt_core.annotation.settings import AnnotatorConfig
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.functions import load_function
from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.turns import in_turn
from prefopt_core.models.threads import threads_for
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.coming import Coming
from tasks.overlap import overlapping, settled
from tasks.session import Session, session
from tasks.stage import stage

SHARDS = 4
SCORER = """
import os, time
from pathlib import Path

STORE = Path(os.environ["PREFOPT_STORE"])

def score(prompt, response):
    scored = any(STORE.glob("manifests/score/*.json"))
    time.sleep(0 if scored else 1)
    with (STORE / "scored").open("a") as file:
        print(scored, file=file)
    return float(len(response))
"""


class World:
    """What the two stages of this file do with each shard, and what they did."""

    def __init__(self):
        self.asked, self.computed = [], []
        self.in_asking = self.in_computing = lambda number: None


world = World()


def _number(responses):
    return int(responses["candidate_id"][0])


@stage("ask", table="logps", version=1, by_shard=True)
def ask(responses: pl.DataFrame, config: AnnotatorConfig) -> pl.DataFrame:
    world.in_asking(_number(responses))
    world.asked.append(_number(responses))
    return responses


@stage("reckon", table="logps", version=1, by_shard=True)
def reckon(responses: pl.DataFrame) -> pl.DataFrame:
    world.in_computing(_number(responses))
    world.computed.append(_number(responses))
    return responses.with_columns(pl.col("logps") + 1)


@pytest.fixture
def both(store, scorer):
    """Ask about a table and compute of the answers; returns the table, or raises."""
    frames = [pl.DataFrame({"candidate_id": [str(i)], "logps": [0.0]}) for i in range(SHARDS)]
    asking = AnnotatorConfig(annotator="function", params={"function": f"{scorer}:gold"})
    table = Artifact(table="logps", shards=tuple(store.put_table("logps", f) for f in frames))

    def both(*, overlap=True):
        with session(Session(store=store, overlap=overlap)), overlapping():
            made = reckon(ask(table, asking))
        return settled(made)

    world.__init__()
    return both


def test_a_shard_is_computed_while_the_next_is_asked_for(both, store):
    seen = Event()
    world.in_computing = lambda number: seen.set()
    world.in_asking = lambda number: number == 0 or seen.wait(20) or pytest.fail("one by one")
    made = both()
    assert store.read(made)["logps"].to_list() == [1.0] * SHARDS
    assert world.asked == world.computed == [0, 1, 2, 3]
    assert both() == both(overlap=False) == made
    assert len(world.asked) == SHARDS  # the rest was found


def test_without_overlap_stages_follow_each_other(both):
    world.in_computing = lambda number: world.computed.append(len(world.asked))
    both(overlap=False)
    assert world.computed[::2] == [SHARDS] * SHARDS


def test_stage_that_fails_ends_the_others_and_tells_its_own_error(both):
    def fail(number):
        if number == 1:
            raise DataError("row 3 is empty")

    def last(number):  # goes on for long, unless it is stopped
        for _ in range(2000 if number == 3 else 0):
            time.sleep(0.01)
            report_progress(1, 2)

    world.in_computing, world.in_asking = fail, last
    began = time.monotonic()
    with pytest.raises(DataError, match="row 3 is empty"):
        both()
    assert time.monotonic() - began < 15
    assert (3 in world.asked, world.computed) == (False, [0])
    world.in_computing = world.in_asking = lambda number: None
    both()
    assert world.asked == [0, 1, 2, 3]
    assert world.computed == [0, 1, 2, 3]


def test_what_is_asked_last_fails_and_what_waits_for_it_ends(both):
    def fail(number):
        if number == 2:
            raise DataError("no such key")

    world.in_asking = fail
    with pytest.raises(DataError, match="no such key"):
        both()
    assert set(world.computed) <= {0, 1}


@pytest.mark.slow
def test_after_an_interrupt_it_says_what_it_waits_for_and_that_another_ends_it(both, caplog):
    asked = Event()

    def compute(number):  # hears of nothing
        asked.wait(20)
        time.sleep(0.2)  # between two questions, a variable might not be set back
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(2.5)

    world.in_computing = compute
    world.in_asking = lambda number: number and (asked.set() or time.sleep(20))
    with pytest.raises(KeyboardInterrupt):
        both()
    assert "Waits for reckon to come to the end of a batch" in caplog.text
    assert "Ctrl-C now ends it at once" in caplog.text


def test_a_thread_keeps_its_number_of_threads_while_a_model_beside_has_one(both):
    limited, seen, usual = Event(), [], torch.get_num_threads()

    def compute(number):
        with threads_for(torch.nn.Linear(1, 1)):
            limited.set()
            time.sleep(0.3)

    def use_torch(number):
        if number and limited.wait(20):
            seen.append(torch.get_num_threads())

    world.in_computing, world.in_asking = compute, use_torch
    torch.set_num_threads(2)
    try:
        run = Thread(target=both)  # which has not used torch before
        run.start()
        run.join(30)
    finally:
        torch.set_num_threads(usual)
    assert seen == [2] * (SHARDS - 1)


def test_interrupt_ends_all(both):
    def interrupt(number):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(2000):
            time.sleep(0.01)
            report_progress(1, 2)

    world.in_computing = interrupt
    world.in_asking = lambda number: time.sleep(5 * number)
    with pytest.raises(KeyboardInterrupt):
        both()
    assert world.computed == []


def test_nobody_waits_for_what_was_stopped():
    coming = Coming("ask")
    coming.stop()
    with pytest.raises(Exception, match="as ask could not go on"):
        _ = coming.value


def test_a_function_makes_no_tensors_while_a_model_is_loaded(write):
    made, loaded, seen = Event(), Event(), []
    path = write("slow.py", "def score(prompt, hold):\n    return hold()\n")

    def hold():  # asks for the turn again, as a function that loads a model does
        with in_turn():
            made.set()
            loaded.wait(0.3)
            seen.append("function")

    def load():
        made.wait(20)
        with in_turn():
            seen.append("model")
            loaded.set()

    loading = Thread(target=load)
    loading.start()
    load_function(f"{path}:score")("", hold)
    loading.join(20)
    assert seen == ["function", "model"]


@pytest.mark.slow
def test_labels_are_bought_while_the_policy_scores(settings, store, run, write):
    without = ("evaluation", "rounds")
    own = {name: value for name, value in settings.items() if name not in without}
    own["annotation"]["params"]["function"] = f"{write('slow.py', SCORER)}:score"
    own["flow"] = "aepo"
    assert store.read(run(own).preferences).height > 0
    assert (store.root / "scored").read_text().split()[-1] == "True"


@pytest.mark.slow
def test_without_overlap_a_run_comes_to_the_same(settings, finished, other_store, run):
    theirs = other_store()
    run(settings | {"execution": {"overlap": False}})
    made = [
        {(m.stage, m.key): (m.output, m.role) for m in store.manifests()}
        for store in (finished, theirs)
    ]
    assert made[0] == made[1]


@pytest.mark.slow
def test_in_prefect_a_task_begins_before_the_one_ends_that_its_arrow_comes_from(
    both, prefect, tools
):
    from prefect import flow
    from prefect.client.orchestration import get_client

    seen = Event()
    world.in_computing = lambda number: seen.set()
    world.in_asking = lambda number: number == 0 or seen.wait(20) or pytest.fail("one by one")
    run_id = flow(both)(return_state=True).state_details.flow_run_id

    def ended():
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=tools.parts_of(run_id))
        return len(runs) == 2 and all(r.state.is_completed() for r in runs) and runs

    runs = {each.name: each for each in tools.until(ended)}
    assert runs["reckon"].start_time < runs["ask"].end_time
    (origin,) = runs["reckon"].task_inputs["given"]
    assert origin.id == runs["ask"].id
