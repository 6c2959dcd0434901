"""Processes that are killed: the run itself, its workers, its server, its part of a Ray cluster."""

import importlib.util
import os
import signal
import time
from contextlib import suppress
from random import Random

from benchmarks.faults.trial import Running, Trial, Unavailable

PROCESSES = ("execution.runner=processes", "execution.workers=2")
RAY = ("execution.runner=ray", "execution.workers=2")
IN_WORKERS = "execution.stages={train: {cpus: 1}}"


def killed(trial: Trial, rng: Random, last: int) -> str:
    """SIGKILL of the run."""
    return _killed(trial, rng, last)


def killed_thrice(trial: Trial, rng: Random, last: int) -> str:
    """SIGKILL of the run and of two that go on from there."""
    places = [_killed(trial, rng, last) for _ in range(3)]
    return places[-1]


def interrupted(trial: Trial, rng: Random, last: int) -> str:
    """Ctrl-C or SIGTERM."""
    return _killed(trial, rng, last, how=rng.choice([signal.SIGINT, signal.SIGTERM]))


def killed_with_workers(trial: Trial, rng: Random, last: int) -> str:
    """SIGKILL of a run that has workers, of the runner `processes`."""
    return _killed(trial, rng, last, *PROCESSES, IN_WORKERS)


def worker_killed(trial: Trial, rng: Random, last: int) -> str:
    """SIGKILL of a worker of the runner `processes`; the run has to go on."""
    return _worker_killed(trial, rng, last, *PROCESSES, IN_WORKERS)


def ray_worker_killed(trial: Trial, rng: Random, last: int) -> str:
    """SIGKILL of a worker on Ray; the run has to go on."""
    if importlib.util.find_spec("ray") is None:
        raise Unavailable("Ray is not installed")
    return _worker_killed(trial, rng, last, *RAY, IN_WORKERS, name="ray::Shards")


def server_killed(trial: Trial, rng: Random, last: int) -> str:
    """SIGKILL of Prefect's server that the run has started, once or twice; the run goes on."""
    running = trial.start(*trial.run_words(server=True))
    moment = trial.later(rng, last - 5)
    for _ in range(rng.choice([1, 2])):
        if not running.at(moment, rng.uniform(0, 0.5)):
            break
        _kill(_named(running, "flows.own_prefect"))
        time.sleep(rng.uniform(0.2, 3))  # the second while it is started again, or once it is
    return _gone_on(running)


def killed_with_server(trial: Trial, rng: Random, last: int) -> str:
    """SIGKILL of a run that has started Prefect's server."""
    return _killed(trial, rng, last, server=True)


def _killed(
    trial: Trial,
    rng: Random,
    last: int,
    *settings: str,
    how: signal.Signals = signal.SIGKILL,
    server: bool = False,
) -> str:
    running = trial.start(*trial.run_words(*settings, server=server))
    if not running.at(trial.later(rng, last), rng.uniform(0, 0.25)):
        running.end()
        return "after its end"
    if how == signal.SIGKILL:
        running.process.send_signal(signal.SIGSTOP)  # so that the place is that of the kill
        place = trial.stage()
        running.kill()
    else:
        place = trial.stage()
        running.kill(how)
    return place


def _worker_killed(trial: Trial, rng: Random, last: int, *settings: str, name: str = "") -> str:
    running = trial.start(*trial.run_words(*settings))
    running.at(trial.later(rng, last - 3), rng.uniform(0, 0.2))
    place, deadline = "no worker was there", time.monotonic() + 60
    while running.process.poll() is None and time.monotonic() < deadline:
        if workers := _named(running, name or "execution"):
            place = trial.stage()
            _kill([rng.choice(workers)])
            break
        time.sleep(0.01)
    _gone_on(running)
    return place


def _gone_on(running: Running) -> str:
    place = running.trial.stage()
    said = running.end()
    if said.code != 0:
        raise AssertionError(f"the run did not go on: {said.last_line}")
    return place


def _named(running: Running, name: str) -> list[int]:
    found = []
    for pid in running.children():
        with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if name.encode() in file.read():
                found.append(pid)
    return found


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
