"""Trackers of a run: opened around it, told of each round, also of those that the store holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from prefopt_core.experiments.base import Experiment
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.tracking.trackers import TrackedRun, project_of
from prefopt_core.tracking.tracking import Tracking
from prefopt_core.training.log import read_log
from tasks.session import current_session, current_store, leaves_pages, planning, session


@contextmanager
def tracking(flow: str, config: Experiment) -> Iterator[None]:
    """Tell trackers of the run within the block; not while planning, nor within a comparison."""
    trackers = config.tracking.report_to
    if not trackers or not leaves_pages():
        yield
        return
    store, own = current_store(), str(config.name)
    settings = {"flow": flow, **config.model_dump(mode="json", exclude={"tracking"})}
    runs: dict[str, TrackedRun] = {
        name: TrackedRun(
            own, project_of(name, config.tracking.project), store.root / "runs" / own, settings
        )
        for name in trackers
    }
    told = Tracking(store, runs, config.digest)
    try:
        with session(replace(current_session(), tracking=told)):
            yield
        told.tell()
    finally:
        told.finish()


def track_round(metrics: Artifact, policy: Folder | None, labels: Artifact | None) -> None:
    """Tell the trackers of a round.

    Args:
        metrics: Its table `metrics`.
        policy: What it trained; None: nothing.
        labels: Table `verdicts` of the labels bought in it.
    """
    current = current_session()
    if current.tracking is None or planning():
        return
    store = current.opened()
    steps = read_log(store.folder_path(policy))[0] if policy else None
    costs: list[float] = []
    if labels:
        costs = store.read(labels, ["cost"])["cost"].drop_nulls().to_list()
    cost = sum(costs) if costs else None
    current.tracking.measured(store.read(metrics), metrics.digest, steps, cost)
    if not current.stored_only:  # it may turn out that not all is stored
        current.tracking.tell()
