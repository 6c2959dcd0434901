"""Trackers of real runs: one run each, which has every figure of training and rounds once."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tasks.session import Session, session


@pytest.fixture
def tracked(settings):
    return settings | {"name": "tried", "tracking": {"report_to": "tensorboard"}}


@pytest.fixture
def scalars(store):
    """What TensorBoard shows of the run: tag → [(step, value), …]."""

    def scalars():
        events = EventAccumulator(str(store.root / "runs" / "tried" / "tensorboard"))
        events.Reload()
        tags = events.Tags()["scalars"]
        return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in tags}

    return scalars


@pytest.mark.slow
def test_a_run_from_the_store_tells_what_a_tracker_lacks_and_nothing_twice(
    tracked, finished, scalars, prefopt, config_file
):
    file = config_file(tracked)
    code, out, _ = prefopt("run", file, "--no-server")
    assert code == 0
    assert "○" not in out  # every stage was a hit: trackers are in no key
    assert f"tensorboard  tensorboard --logdir {finished.root / 'runs'}" in out
    found = scalars()
    assert [step for step, _ in found["train/loss"]] == [1, 2, 3, 4]  # of two trainings
    assert found["round"] == [(0, 0), (2, 1), (4, 2)]
    metrics = finished.read_all([m.output for m in finished.manifests("evaluate")])
    assert {f"round/{name}" for name in metrics["metric"]} <= found.keys()
    for column, tag in (("value", "round/win_rate"), ("low", "round/win_rate_low")):
        rates = metrics.filter(metric="win_rate").sort("round").select("round", column)
        assert found[tag] == [(2 * r, pytest.approx(each)) for r, each in rates.iter_rows()]
    assert prefopt("run", file, "--no-server")[0] == 0
    assert scalars() == found


class _Watch:
    """An observer that looks at the tracker whenever a training ends, before it is measured."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def finished(self, stage, outcome):
        if stage == "train":
            self.seen.append(self.look())

    def started(self, *_):
        pass

    progressed = noticed = started


@pytest.mark.slow
def test_steps_are_told_while_the_training_goes_on(tracked, finished, run, scalars):
    watch = _Watch(lambda: [step for step, _ in scalars()["train/loss"]])
    with session(Session(refresh=frozenset({"train"}), observer=watch)):
        run(tracked)
    assert watch.seen == [[1, 2], [1, 2, 3, 4]]


def test_trackers_change_neither_names_nor_budgets(settings, tools):
    (_, without), (_, tracked) = (
        tools.parsed(settings | extra) for extra in ({}, {"tracking": {"report_to": ["wandb"]}})
    )
    assert tracked.named("run").name == without.named("run").name
    assert tracked.allowance == without.allowance
