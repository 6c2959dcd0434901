"""Workers as actors of Ray: on a cluster that is there, or on one that is started for the run.

Of Ray only actors are used. It neither repeats nor restarts anything: `dealing` does, and knows
which shard it was. No table passes through Ray; workers read and write the store.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from prefopt_core.execution.dealing import Answer, Died
from prefopt_core.execution.settings import ExecutionConfig, Resources
from prefopt_core.execution.working import Told, attempt
from prefopt_core.ground.errors import ConfigError, PrefoptError
from prefopt_core.ground.extras import import_extra
from prefopt_core.store.jobs import Done, Job

log = logging.getLogger(__name__)

_PATIENCE_S = 30.0
"""So long nothing is said while no worker starts; so long at most it is waited for free GPUs."""
_LOOK_S = 5.0


class Shards:
    """The actor.

    Args:
        path: Python's path in the run's process, if the cluster is its own; else None.
        folder: The working folder, which Ray puts on the path: what lies there is not ours.
    """

    def __init__(self, path: list[str] | None, folder: str) -> None:
        sys.path[:] = path or [each for each in sys.path if each not in ("", folder)]

    def where(self) -> str:
        """Which process this is, for messages."""
        return f"process {os.getpid()} on {os.uname().nodename}"

    def do(self, job: Job) -> tuple[Done | Exception, list[Told]]:
        """Do a job; returns also what is to be told of it."""
        told: list[Told] = []
        return attempt(job, told.append, lambda done, total: None), told


class Actor:
    """A handle of an actor, and the answers it owes."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.starting: Any = handle.where.remote()
        self.name = "an actor that never started"
        self.owed: deque[Any] = deque()

    def give(self, job: Job) -> None:
        """Hand it a job."""
        self.owed.append(self.handle.do.remote(job))

    @property
    def next(self) -> Any:
        """The reference that tells of it next; None: nothing is awaited."""
        return self.starting or (self.owed[0] if self.owed else None)


class Cluster:
    """A Ray cluster, as a place where workers are hired; joined or started for the first."""

    def __init__(self, config: ExecutionConfig) -> None:
        self._config = config
        self._leave: Callable[[], None] = lambda: None

    def crew(self, resources: Resources, stage: str) -> "Actors":
        """A crew of actors.

        Raises:
            ConfigError: No node has what one takes.
            MissingExtraError: Ray is not installed.
            PrefoptError: The cluster does not answer.
        """
        ray = import_extra("ray", "ray")
        if not ray.is_initialized():
            self._start(ray)
        crew = Actors(ray, self._config, resources, own=self._config.address is None)
        if not crew.most:
            gpus = f" and {resources.gpus:g} GPUs" if resources.gpus else ""
            raise ConfigError(
                f"A worker of {stage!r} takes {resources.cpus} cores{gpus}, and no node of the Ray "
                f"cluster has these; there are {_in_words(ray.cluster_resources())} on "
                f"{len(ray.nodes())} nodes. Lower `execution.stages.{stage}`."
            )
        return crew

    def _start(self, ray: Any) -> None:
        address, ended = self._config.address, signal.getsignal(signal.SIGTERM)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"include_dashboard": False} if address is None else {}
        try:
            _must_answer(address)
            ray.init(address or "local", log_to_driver=False, logging_level="error", **quiet)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            lines = str(error).strip().splitlines()
            raise PrefoptError(
                f"No Ray cluster at {address or 'this machine'}: {lines[0] if lines else error} "
                "Start one with `ray start --head`, or leave `execution.address` out. If it wants "
                "a token, set RAY_AUTH_MODE=token."
            ) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ended)  # Ray has put its own in its place
        self._leave = ray.shutdown

    def close(self) -> None:
        """Leave the cluster; one that was started for the run ends."""
        self._leave()


def _must_answer(address: str | None) -> None:
    """Knock at host:port; Ray would try for minutes.

    Raises:
        OSError: Nobody is there.
    """
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "://" not in host:
        socket.create_connection((host, int(port)), timeout=_LOOK_S).close()


class Actors:
    """A `Crew` of actors; each sees its own GPUs only."""

    ahead = 2  # so that none waits for the next; a long queue in Ray has hung clusters

    def __init__(
        self, ray: Any, config: ExecutionConfig, resources: Resources, *, own: bool
    ) -> None:
        self._ray, self._config, self._resources, self._own = ray, config, resources, own
        self.workers: list[Actor] = []
        self._pending: deque[tuple[Actor, Answer]] = deque()
        self._asked, self._told = time.monotonic(), False
        self._free = ray.available_resources().get("GPU", 0)
        self.most = self._room()

    def _room(self) -> int:
        """How many workers the nodes that live have room for."""
        wanted, room = self._resources, 0
        for has in (node["Resources"] for node in self._ray.nodes() if node["Alive"]):
            fit = int(has.get("CPU", 0) // wanted.cpus)
            if wanted.gpus:
                fit = min(fit, int(has.get("GPU", 0) / wanted.gpus + 1e-9))
            room += fit
        return room if self._config.workers == "auto" else min(room, self._config.workers)

    def hire(self) -> Actor:
        """Start one more; Ray finds the node."""
        wanted, environment = self._resources, {"PYTHONSAFEPATH": "1"}
        if not wanted.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ""  # Ray would leave it unset: every GPU
        if "OMP_NUM_THREADS" not in os.environ:
            environment["OMP_NUM_THREADS"] = str(wanted.cpus)
        path = [folder for folder in sys.path if folder] if self._own else None
        if path:
            environment["PYTHONPATH"] = os.pathsep.join(path)
        made = self._ray.remote(Shards).options(
            num_cpus=wanted.cpus,
            num_gpus=wanted.gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": environment},
        )
        self.workers.append(Actor(made.remote(path, os.getcwd())))
        return self.workers[-1]

    def dismiss(self, worker: Actor) -> None:
        """End one; what is left of its answers is dropped."""
        self.workers.remove(worker)
        self._pending = deque(each for each in self._pending if each[0] is not worker)
        self._ray.kill(worker.handle)
        self.most = self._room()  # its node may be gone

    def answer(self) -> tuple[Actor, Answer]:
        """Wait for the next answer of any.

        Raises:
            PrefoptError: No node is left that has room for one.
        """
        while not self._pending:
            if not self.workers:
                raise PrefoptError(
                    "No node of the Ray cluster is left that has room for a worker. Finished "
                    "shards are kept; the same command goes on from them."
                )
            awaited = {worker.next: worker for worker in self.workers if worker.next}
            ended, _ = self._ray.wait([*awaited], timeout=_LOOK_S)
            if ended:
                self._pending.extend(self._answers(awaited[ended[0]]))
            else:
                self._say_what_is_waited_for()
        return self._pending.popleft()

    def _answers(self, worker: Actor) -> Iterator[tuple[Actor, Answer]]:
        try:
            got = self._ray.get(worker.next)
        except self._ray.exceptions.RayActorError as error:
            how = str(error).strip().splitlines()[0]
            yield worker, Died(f"{worker.name}: {how}")
            return
        except Exception as error:  # what came back cannot be read here, or went there
            worker.owed.popleft()
            yield worker, PrefoptError(f"{worker.name}: {type(error).__name__}: {error}")
            return
        if worker.starting is not None:
            worker.starting, worker.name = None, got
            return
        worker.owed.popleft()
        done, told = got
        yield from ((worker, line) for line in told)
        yield worker, done

    def _say_what_is_waited_for(self) -> None:
        up = any(worker.starting is None for worker in self.workers)
        if up or self._told or time.monotonic() - self._asked < _PATIENCE_S:
            return
        self._told = True
        log.warning(
            "waiting for Ray to start a worker with %d cores and %g GPUs; free are %s",
            self._resources.cpus, self._resources.gpus, _in_words(self._ray.available_resources()),
        )  # fmt: skip

    def end(self) -> None:
        """End all; returns when their GPUs are free."""
        for worker in [*self.workers]:
            self.dismiss(worker)
        until = time.monotonic() + _PATIENCE_S
        while self._resources.gpus and time.monotonic() < until:
            if self._ray.available_resources().get("GPU", 0) >= self._free:
                return
            time.sleep(0.2)


def _in_words(resources: dict[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} cores and {resources.get('GPU', 0):g} GPUs"
