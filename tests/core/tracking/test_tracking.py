"""Every figure reaches every tracker once, whatever happens to the run or the tracker."""

import sys

import polars as pl
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.tables import TABLES
from prefopt_core.store.store import Store
from prefopt_core.tracking.settings import TrackingConfig
from prefopt_core.tracking.trackers import TrackedRun, opened
from prefopt_core.tracking.tracking import Tracking, places


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def tracking(store):
    def tracking(settings="a digest", trackers=("tensorboard",)):
        folder = store.root / "runs" / "tried"
        run = TrackedRun("tried", "a project", folder, {"generation": {"n": 4}})
        return Tracking(store, dict.fromkeys(trackers, run), settings)

    return tracking


@pytest.fixture
def losses(store):
    """[(step, loss), …] as TensorBoard shows them."""

    def losses(tag="train/loss"):
        events = EventAccumulator(str(store.root / "runs" / "tried" / "tensorboard"))
        events.Reload()
        known = tag in events.Tags()["scalars"]
        return [(each.step, each.value) for each in events.Scalars(tag)] if known else []

    return losses


def _metrics(number, rate=0.5):
    rows = [(number, "win_rate", rate, None, None, 8)]
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


def _steps(*values):
    return pl.DataFrame({"step": range(1, len(values) + 1), "loss": [float(v) for v in values]})


def _rounds(tracking, *trainings):
    """Measure the start policy, and a round after each training; the rounds' digests are theirs."""
    for number, steps in enumerate([None, *trainings]):
        digest = "start" if steps is None else str(steps["loss"].to_list())
        tracking.measured(_metrics(number), digest, steps)
        tracking.tell()


def test_what_was_told_live_is_not_told_again(tracking, losses):
    first = tracking()
    _rounds(first)
    first.logged({"step": 1, "loss": 3.0})
    first.logged({"step": 2, "loss": 2.0})
    first.logged({"train_runtime": 1.0, "step": 2})  # the end of a training is no step
    assert losses() == [(1, 3), (2, 2)]
    second = tracking()  # the run was killed, and its training goes on from an earlier checkpoint
    _rounds(second)
    second.logged({"step": 2, "loss": 2.0})
    second.logged({"step": 3, "loss": 1.0})
    for number, steps in enumerate([_steps(3, 2, 1), _steps(9)], 1):
        second.measured(_metrics(number), f"round {number}", steps, cost=0.25 * number)
        second.tell()
    second.finish()
    assert losses() == [(1, 3), (2, 2), (3, 1), (4, 9)]
    assert losses("round") == [(0, 0), (3, 1), (4, 2)]
    assert losses("round/cost") == [(3, 0.25), (4, 0.5)]


def test_steps_that_lack_others_before_them_wait_for_the_end_of_their_training(tracking, losses):
    tracked = tracking()
    _rounds(tracked)
    tracked.logged({"step": 3, "loss": 1.0})  # a checkpoint had the others
    assert losses() == []
    tracked.measured(_metrics(1), "after", _steps(3, 2, 1))
    tracked.tell()
    tracked.finish()
    assert losses() == [(1, 3), (2, 2), (3, 1)]


@pytest.mark.parametrize(("settings", "start"), [("others", 3), ("a digest", 4)])
def test_other_settings_or_results_make_another_run(tracking, losses, settings, start):
    first = tracking()
    _rounds(first, _steps(3, 2), _steps(1))
    first.finish()
    second = tracking(settings)
    _rounds(second, _steps(start, 2))
    second.finish()
    assert losses() == [(1, start), (2, 2)]
    assert losses("round") == [(0, 0), (2, 1)]


def test_a_tracker_that_fails_costs_nothing_and_is_told_the_rest_later(
    tracking, store, losses, caplog
):
    folder = store.root / "runs" / "tried" / "tensorboard"
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    first = tracking()
    _rounds(first, _steps(3, 2))
    first.finish()
    (told,) = caplog.messages  # once
    assert told.startswith("tensorboard fails: ")
    assert told.endswith(". The run goes on without it; the same command tells it what it lacks.")
    assert places(folder.parent) == {}
    folder.unlink()
    second = tracking()
    _rounds(second, _steps(3, 2))
    second.finish()
    assert losses() == [(1, 3), (2, 2)]
    assert places(folder.parent) == {"tensorboard": f"tensorboard --logdir {store.root / 'runs'}"}


def test_a_tracker_that_is_not_installed_is_told_before_the_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    section = TrackingConfig(report_to="trackio")
    with pytest.raises(ConfigError, match=r"trackio is not installed\. Type `pip install trackio`"):
        list(section.check())


@pytest.fixture
def mode(monkeypatch, tmp_path):
    """Set WANDB_MODE, which wandb reads once, where nobody has logged in."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)

    def mode(name):
        monkeypatch.setenv("WANDB_MODE", name)
        wandb.teardown()

    yield mode
    wandb.teardown()


def test_wandb_without_a_login_is_told_before_the_run(mode):
    section = TrackingConfig(report_to=["wandb"])
    mode("online")
    with pytest.raises(ConfigError, match=r"no login\. Set WANDB_API_KEY or type `wandb login`"):
        list(section.check())
    mode("offline")
    assert list(section.check()) == []


@pytest.mark.parametrize("name", ["mlflow", "trackio", "wandb"])
def test_a_run_that_a_tracker_knows_is_opened_again(name, tmp_path, monkeypatch, request):
    pytest.importorskip(name)
    if name == "wandb":
        request.getfixturevalue("mode")("offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    folder = tmp_path / "runs" / "tried"
    folder.mkdir(parents=True)
    ids = []
    for step in range(2):
        run = TrackedRun("tried", "a project", folder, {"generation": {"n": 4}}, "".join(ids[:1]))
        made = opened(name, run)
        made.log({"train/loss": 1.0}, step)
        made.finish()
        ids.append(made.id)
        assert made.where
    assert ids[0] == ids[1]
