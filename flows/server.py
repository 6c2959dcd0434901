"""The Prefect server of a run: a running one, or one that is started for the run."""

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from flows.own_prefect import own_pages
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.files import explained
from prefopt_core.ground.loopback import spare_loopback
from prefopt_core.ground.user_code import SAFE_PATH
from prefopt_core.labels.batch import Batch
from prefopt_core.labels.standing import Progress
from prefopt_core.store.store import Store
from tasks.session import current_store

log = logging.getLogger(__name__)

USUAL_URL = "http://127.0.0.1:4200/api"
_PATIENCE_S = 120


@contextmanager
def prefect_server() -> Iterator[str]:
    """Yield the API's URL: `$PREFECT_API_URL`, a server on the usual port, or a new one.

    Raises:
        PrefoptError: No Prefect server answers at `$PREFECT_API_URL`, or none can be started.
    """
    if url := usual_server():
        yield url
        return
    port = _free_port()
    with own_server(port) as url:
        os.environ["PREFECT_API_URL"] = url
        _read_again()
        try:
            yield url
        finally:
            _send_the_rest()
            del os.environ["PREFECT_API_URL"]
            _read_again()


def _read_again() -> None:
    """Have Prefect look at the environment again, if it is imported and so has read it before."""
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def usual_server() -> str | None:
    """URL of a running server's API, or None; sets $PREFECT_API_URL to it.

    Raises:
        PrefoptError: No Prefect server answers at the URL that is set there.
    """
    named = os.environ.get("PREFECT_API_URL")
    if named and not answers(named, patience_s=10):
        raise PrefoptError(
            f"PREFECT_API_URL is {named}, and no Prefect server answers there. Start it, or "
            "`unset PREFECT_API_URL` to have one started, or use `--no-server`."
        )
    url = named or (USUAL_URL if answers(USUAL_URL) else None)
    if url:
        os.environ["PREFECT_API_URL"] = url
    return url


def show_progress(store: Store, batch: Batch, progress: Progress) -> None:
    """Show in Prefect how far a batch is, where a server answers; who labels is not bothered."""
    try:
        if usual_server():
            from flows.waiting import show

            show(store, batch, progress)
    except Exception as error:
        log.debug("The progress of labels could not be shown: %s", error)


def go_on(store: Store) -> str:
    """Resume deployed runs that wait for labels in this store; returns a line on it, or nothing."""
    try:
        if usual_server() is None:
            return ""
        from flows.waiting import resume  # imports Prefect, which reads the server's address

        resumed = resume(store)
    except Exception as error:  # the labels are kept; no failure of Prefect's may look otherwise
        return f"No deployed run could be resumed: {error}\n"
    runs = "run goes" if resumed == 1 else "runs go"
    return f"{resumed} deployed {runs} on.\n" if resumed else ""


@contextmanager
def own_server(port: int) -> Iterator[str]:
    """Run a server on `port` within the block; its database is in the store, so runs stay visible.

    Raises:
        PrefoptError: The port is taken, or the server does not start.
        StoreError: The store cannot be written.
    """
    if answers(f"http://127.0.0.1:{port}/api"):
        raise PrefoptError(
            f"Port {port} has a Prefect server already, perhaps on the runs of another store: "
            f"http://127.0.0.1:{port}. Use that one, or another `--port`."
        )
    if _is_taken(port):
        raise PrefoptError(
            f"Port {port} is taken by a program that is no Prefect server. Use another `--port`."
        )
    home = current_store().root / "prefect"
    with explained(home):
        home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    url = f"http://127.0.0.1:{port}/api"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.own_prefect"],
            env=os.environ | server_settings(home, port),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must not reach the server: `_stop` ends it
            preexec_fn=die_with_parent,
        )
    try:
        _wait_for(url, server, log)
        yield url
    finally:
        _stop(server)


def server_settings(home: Path, port: int) -> dict[str, str]:
    """Environment of the server: local address, no telemetry, no requests to the internet."""
    return SAFE_PATH | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),  # --port would leave the UI asking port 4200
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(own_pages(port)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # v2 fetches from the internet
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
    }


def die_with_parent() -> None:
    """Have Linux end this process when its parent ends, even by SIGKILL; nothing elsewhere."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not answers(url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise PrefoptError(
                f"The Prefect server did not start; its output is in {log}. Start one yourself "
                "(`prefect server start`) and set PREFECT_API_URL, or use `--no-server`."
            )
        time.sleep(0.2)


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


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _send_the_rest() -> None:
    # Prefect sends logs and events in the background; the server must not be stopped before.
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        APILogWorker.drain_all(timeout=10)
        EventsWorker.drain_all(timeout=10)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
