"""The workers of a run: hired at the first shard that is missing, kept from stage to stage."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from prefopt_core.execution.dealing import Crew, deal
from prefopt_core.execution.settings import ExecutionConfig, Resources
from prefopt_core.models.loading import beside
from prefopt_core.store.jobs import Done, Job


class Place(Protocol):
    """Where workers are hired: this machine, or a cluster."""

    def crew(self, resources: Resources, stage: str) -> Crew[Any]:
        """A crew without workers yet, for a stage and all that take the same.

        Raises:
            ConfigError: There is no room for one worker.
        """

    def close(self) -> None:
        """End what was started besides workers."""


class Workers:
    """A `store.jobs.Runner`: a crew for each kind of resources, one with GPUs at a time.

    Attributes:
        named: The stages that are sent to workers though they have no shards.
        left_out: Stages that are not sent to them, as was told already.
    """

    def __init__(self, config: ExecutionConfig, place: Place) -> None:
        self._config, self._place = config, place
        self.named, self.left_out = frozenset(config.stages), set[str]()
        self._crews: dict[Resources, Crew[Any]] = {}

    def map(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Compute jobs of one stage; yields in their order.

        Raises:
            ConfigError: There is no room for one worker.
            PrefoptError: A job lost its worker too often.
            Exception: What one of them raised.
        """
        stage = jobs[0].stage
        resources = self._config.of(stage)
        if resources not in self._crews:
            if resources.gpus:
                self.free_gpus()
            self._crews[resources] = self._place.crew(resources, stage)
        return deal(self._crews[resources], jobs, self._config.attempts)

    def free_gpus(self) -> None:
        """End the workers that have GPUs: for training, or for a model of the run's process."""
        for resources in [each for each in self._crews if each.gpus]:
            self._crews.pop(resources).end()

    def close(self) -> None:
        """End all workers."""
        for crew in self._crews.values():
            crew.end()
        self._crews.clear()
        self._place.close()


@contextmanager
def hired(config: ExecutionConfig) -> Iterator[Workers | None]:
    """Yield the workers of a run, none of which has started; None: shards are computed inline.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    if config.runner == "inline":
        yield None
        return
    workers = Workers(config, _place(config))
    with beside(workers.free_gpus):
        try:
            yield workers
        finally:
            workers.close()


def _place(config: ExecutionConfig) -> Place:
    if config.runner == "ray":
        from prefopt_core.execution.on_ray import Cluster

        return Cluster(config)
    from prefopt_core.execution.processes import Machine

    return Machine(config)
