"""What a user sees of a server that refuses or keeps silent: a line now and then, with counts."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

EVERY_S = 30.0
"""Repeated requests are told of as often at most."""
SILENT_S = 60.0
"""Seconds without an answer after which that is told, and so often again."""


class Waiting:
    """Counts what one server keeps its caller waiting with.

    Args:
        url: The server's address.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._out = self._repeated = 0
        self._heard = time.monotonic()
        self._told: float | None = None  # of repetitions

    @contextmanager
    def request(self) -> Iterator[None]:
        """Within the block a request is out; whatever ends it, the server was heard."""
        if not self._out:
            self._heard = time.monotonic()
        self._out += 1
        try:
            yield
        finally:
            self._out -= 1
            self._heard = time.monotonic()

    def repeated(self, problem: object, wait_s: float) -> None:
        """A request failed, and is sent again after so many seconds: told of if the time has come.

        Args:
            problem: What was wrong with it.
            wait_s: Seconds.
        """
        self._repeated += 1
        now, told = time.monotonic(), self._told
        if told is None:
            log.warning("%s: %s. Asking again in %.0f s.", self._url, problem, wait_s)
        elif now - told >= EVERY_S:
            log.warning(
                "%s: in the last %.0f s %d requests failed; the last: %s. Asking again in %.0f s.",
                self._url,
                now - told,
                self._repeated,
                problem,
                wait_s,
            )
        else:
            return
        self._told, self._repeated = now, 0

    async def watch(self) -> None:
        """Tell of silence, until cancelled."""
        told = self._heard
        while True:
            await asyncio.sleep(SILENT_S / 4)
            now = time.monotonic()
            if self._out and now - max(told, self._heard) >= SILENT_S:
                log.warning(
                    "%s: no answer for %.0f s; requests that wait for one: %d.",
                    self._url,
                    now - self._heard,
                    self._out,
                )
                told = now
