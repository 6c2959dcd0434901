"""Workers as processes of this machine: spawned, watched, replaced when they die.

A worker dies with its parent, however that ends: it reads a pipe, and no one else holds the other
end of it. Not `ProcessPoolExecutor`: that gives up all jobs when one process is killed.
"""

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from prefopt_core.execution.dealing import Answer, Died, Progressed
from prefopt_core.execution.settings import ExecutionConfig, Resources, visible_gpus
from prefopt_core.execution.working import attempt, sendable
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.user_code import SAFE_PATH
from prefopt_core.store.jobs import Done, Job

# With the path of this process: what lies in the working folder is not ours, what is run here is.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from prefopt_core.execution.processes import serve; serve(int(sys.argv[2]))"
)
_LOOK_S = 1.0
"""How often is looked for processes that died and left their pipe to a child."""
_PATIENCE_S = 20.0
"""How long a process may take to end, with the engine that it may have started."""
_BEAT_S = 0.5
"""Progress is told that often."""


class Process:
    """A process that does one job after the other."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | SAFE_PATH | environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the run, which then ends it
            )

    def give(self, job: Job) -> None:
        """Hand it a job; one that has died says so when it is asked for its answer."""
        try:
            self.pipe.send(job)
        except BrokenPipeError:
            self._process.wait()

    def end(self) -> None:
        """Kill it if it works, let it end if it waits; what it started ends with it."""
        self.pipe.close()  # it ends when it reads the end of this pipe
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def answer(self) -> Answer:
        """What it says; waits for that."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionResetError):
            return self.death()

    @property
    def dead(self) -> bool:
        """Whether it has ended and nothing is left to be read."""
        return self._process.poll() is not None and not self.pipe.poll()

    def death(self) -> Died:
        """How it ended."""
        code = self._process.wait()
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by signal {-code} ({signal.strsignal(-code)})"
        return Died(f"process {self._process.pid} {how}")


class Machine:
    """This machine, as a place where workers are hired."""

    def __init__(self, config: ExecutionConfig) -> None:
        self._config = config

    def crew(self, resources: Resources, stage: str) -> "Processes":
        """A crew of processes.

        Raises:
            ConfigError: This machine has not the GPUs for one.
        """
        return Processes(places(self._config, resources, stage))

    def close(self) -> None:
        """Nothing was started besides."""


class Processes:
    """A `Crew` of processes; each sees its own GPUs only."""

    def __init__(self, places: Sequence[dict[str, str]]) -> None:
        self._places, self.most, self.ahead = places, len(places), 1
        self._at: dict[Process, dict[str, str]] = {}

    @property
    def workers(self) -> list[Process]:
        """Those that live."""
        return [*self._at]

    def hire(self) -> Process:
        """Start one, at a place where none is."""
        taken = [*self._at.values()]
        free = next(p for p in self._places if self._places.count(p) > taken.count(p))
        worker = Process(free)
        self._at[worker] = free
        return worker

    def dismiss(self, worker: Process) -> None:
        """End one."""
        del self._at[worker]
        worker.end()

    def answer(self) -> tuple[Process, Answer]:
        """Wait for the next answer of any."""
        while True:
            found: Sequence[Any] = wait([worker.pipe for worker in self.workers], _LOOK_S)
            for worker in self.workers:
                if worker.pipe in found:
                    return worker, worker.answer()
                if worker.dead:
                    return worker, worker.death()

    def end(self) -> None:
        """End all, the pipes of all before the first is waited for."""
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            self.dismiss(worker)


def places(config: ExecutionConfig, resources: Resources, stage: str) -> list[dict[str, str]]:
    """The environment of each worker that there is room for: GPUs, and threads.

    Raises:
        ConfigError: This machine has not the GPUs for one.
    """
    cores, per_worker = len(os.sched_getaffinity(0)), resources.cpus
    room = max(1, cores // per_worker) if config.workers == "auto" else config.workers
    # Of one that is set, results may depend: sums are in another order.
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(per_worker)}
    shares = _shares(resources.gpus) if resources.gpus else [""] * room
    if not shares:
        raise ConfigError(
            f"`execution.stages.{stage}.gpus` is {resources.gpus:g}, and this machine has "
            f"{len(visible_gpus())} GPUs that are visible. Lower it, or set CUDA_VISIBLE_DEVICES."
        )
    return [threads | {"CUDA_VISIBLE_DEVICES": share} for share in shares[:room]]


def _shares(gpus: float) -> list[str]:
    """What each worker sees as CUDA_VISIBLE_DEVICES: some GPUs, or one that several share."""
    every = visible_gpus()
    if gpus < 1:
        return [gpu for _ in range(int(1 / gpus + 1e-9)) for gpu in every]
    number = int(gpus)
    return [",".join(every[at : at + number]) for at in range(0, len(every) - number + 1, number)]


# --- in the worker ----------------------------------------------------------------------------


def serve(descriptor: int) -> None:
    """Be a worker: do the jobs that come through a pipe until it ends."""
    pipe = Connection(descriptor)
    jobs: queue.Queue[bytes | None] = queue.Queue()
    working, sending = threading.Event(), threading.Lock()

    def read() -> None:
        while True:
            try:
                job = pipe.recv_bytes()
            except (EOFError, OSError):  # the run has ended, or wants this to end
                if working.is_set():
                    os._exit(1)
                jobs.put(None)
                return
            working.set()
            jobs.put(job)

    def send(answer: Answer) -> None:
        with sending:
            pipe.send(answer)

    threading.Thread(target=read, daemon=True).start()
    while (received := jobs.get()) is not None:
        answer = _answer(received, send)
        working.clear()  # before the answer: the next job may come at once
        send(answer)


def _answer(received: bytes, send: Callable[[Answer], None]) -> Done | Exception:
    told = 0.0

    def heard(done: int, total: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= _BEAT_S:
            told = now
            send(Progressed(done / max(total, 1)))

    try:
        job: Job = pickle.loads(received)
    except Exception as error:  # a class that only the run's process knows
        return sendable(error)
    return attempt(job, send, heard)
