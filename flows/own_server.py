"""A Prefect server of our own: started, kept alive and ended with the block that needs it."""

import errno
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

from flows.own_prefect import own_pages
from flows.terminal import say
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.files import explained
from prefopt_core.ground.loopback import spare_loopback
from prefopt_core.ground.processes import end_with
from prefopt_core.ground.user_code import SAFE_PATH
from prefopt_core.store.locks import locked
from tasks.session import current_store

_PATIENCE_S = 120
_STARTS = 3
"""How often a server that died is started again, without success, before it is given up."""
_DAMAGE = re.compile("file is not a database|database disk image is malformed")
"""What SQLite says of a file that it cannot read."""


@contextmanager
def own_server(port: int = 0, tell: Callable[[str], object] = say) -> Iterator[str]:
    """Run a server within the block; its database is in the store, so runs stay visible.

    One that dies is started again. Meanwhile requests wait at its socket, which is ours: whoever
    asks does not notice.

    Args:
        port: Of 127.0.0.1; 0 for any that is free.
        tell: Is told when the server was started again, or cannot be.

    Raises:
        PrefoptError: The port is taken, or the server does not start.
        StoreError: The store cannot be written.
    """
    listener = _listening(port)
    with listener, _Server(listener, tell) as server:
        yield server.url


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as error:
        url = f"http://127.0.0.1:{port}"
        if error.errno == errno.EADDRINUSE and answers(f"{url}/api"):
            raise PrefoptError(
                f"Port {port} has a Prefect server already, perhaps on the runs of another store: "
                f"{url}. Use that one, or another `--port`."
            ) from error
        taken = "is taken by a program that is no Prefect server"
        problem = taken if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise PrefoptError(f"Port {port} {problem}. Use another `--port`.") from error


class _KilledError(PrefoptError):
    """The server was killed while it started."""


class _Server:
    """A Prefect server on a socket, and a thread that starts it again when it dies.

    Raises:
        PrefoptError: The server does not start.
        StoreError: The store cannot be written.
    """

    def __init__(self, listener: socket.socket, tell: Callable[[str], object]) -> None:
        self._home = current_store().root / "prefect"
        self._listener, self._tell = listener, tell
        self._over, self._keeper = Event(), Thread(target=self._keep)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"

    def __enter__(self) -> "_Server":
        with explained(self._home):
            self._home.mkdir(parents=True, exist_ok=True)
            self._log = (self._home / "server.log").open("ab")  # other servers may be writing, too
            self._log.truncate(0)
        try:
            self._first_start()
        except BaseException:
            self._log.close()
            raise
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._keeper.join()
        _stop(self._process)
        self._log.close()

    def _first_start(self) -> None:
        for more in reversed(range(_STARTS)):
            try:
                self._start()
                return
            except _KilledError:  # by somebody, or for want of memory: nothing is wrong with it
                if not more:
                    raise

    def _start(self) -> None:
        # Of two that make one new database, one would fail.
        with locked(self._home / "starting", "the start of a Prefect server"):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.own_prefect", str(self._listener.fileno())],
                env=os.environ | server_settings(self._home, self.url),
                pass_fds=[self._listener.fileno()],
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C must not reach the server: `_stop` ends it
                preexec_fn=partial(end_with, os.getpid(), signal.SIGTERM),
            )
            try:
                self._wait()
            except BaseException:
                _stop(self._process)
                raise

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not (self._over.is_set() or answers(self.url)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                killed = self._process.returncode == -signal.SIGKILL
                raise (_KilledError if killed else PrefoptError)(self._why())
            self._over.wait(0.2)

    def _why(self) -> str:
        log = Path(self._log.name)
        if damage := _DAMAGE.search(log.read_text(errors="replace")):
            return (
                f"The Prefect server did not start: {self._home / 'prefect.db'} is damaged "
                f"({damage[0]}). Move it away, and a new one is made; only what Prefect shows of "
                "earlier runs goes with it."
            )
        return (
            f"The Prefect server did not start; its output is in {log}. Start one yourself "
            "(`prefect server start`) and set PREFECT_API_URL, or use `--no-server`."
        )

    def _keep(self) -> None:
        failures = 0
        while not self._over.wait(0.5 + 2 * failures):
            if self._process.poll() is None:
                failures = 0
                continue
            try:
                self._start()
                self._tell("! The Prefect server had ended, and was started again.")
            except (PrefoptError, OSError) as error:
                failures += 1
                if failures == _STARTS:
                    self._listener.close()  # who asks shall not wait
                    _hush()
                    self._tell(f"! The Prefect server has ended, and does not start again: {error}")
                    return


def server_settings(home: Path, url: str) -> dict[str, str]:
    """Environment of the server: local address, no telemetry, no requests to the internet."""
    port = urlsplit(url).port or 0
    return SAFE_PATH | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),  # else the UI asks port 4200
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(own_pages(port)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # v2 fetches from the internet
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
    }


def answers(url: str, patience_s: float = 2) -> bool:
    """Whether a Prefect server answers its health check at `url`, or asks for a key."""
    spare_loopback()  # also for Prefect's own clients later on
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=patience_s) as response:
            return bool(response.read(64).strip() == b"true")
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)
    except (OSError, ValueError, HTTPException):  # nobody, or somebody who speaks no HTTP
        return False


def _hush() -> None:
    # Prefect's workers in the background would log each event that they cannot send.
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", "prefect._internal"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
