"""The Prefect server of a run: a running one, or one that is started for the run."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from flows.own_server import answers, own_server
from flows.terminal import say
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.labels.batch import Batch
from prefopt_core.labels.standing import Progress
from prefopt_core.store.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

USUAL_URL = "http://127.0.0.1:4200/api"


@contextmanager
def prefect_server(tell: Callable[[str], object] = say) -> Iterator[str]:
    """Yield the API's URL: `$PREFECT_API_URL`, a server on the usual port, or a new one.

    Args:
        tell: Is told if a new one had to be started again.

    Raises:
        PrefoptError: No Prefect server answers at `$PREFECT_API_URL`, or none can be started.
    """
    if url := usual_server():
        yield url
        return
    with own_server(tell=tell) as url:
        os.environ["PREFECT_API_URL"] = url
        # Each doubles the wait for a server that is gone; while one starts, requests wait anyway.
        os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "3")
        _read_again()
        try:
            yield url
        finally:
            if answers(url):
                _send_the_rest()
            del os.environ["PREFECT_API_URL"]
            _read_again()


def outliving(run: Callable[[bool], T], tell: Callable[[str], object] = say) -> T:
    """Run in Prefect; if its server is lost, without: the store has what was finished.

    Args:
        run: Is given whether to run in Prefect; returns the result.
        tell: Is told that the server is lost.
    """
    from httpx import HTTPError

    try:
        return run(True)
    except HTTPError as error:
        log.debug("The Prefect server is lost", exc_info=error)
        tell("! No Prefect server answers any more. The run goes on without, from the store.")
        return run(False)


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
            "`unset PREFECT_API_URL`: runs then start one, or take that of `prefopt ui`."
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


def _send_the_rest() -> None:
    # Prefect sends logs and events in the background; the server must not be stopped before.
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        APILogWorker.drain_all(timeout=10)
        EventsWorker.drain_all(timeout=10)
