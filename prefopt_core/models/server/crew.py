"""Workers that share a queue: the concurrency of requests."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from prefopt_core.models.server.endpoint import Stopped

T = TypeVar("T")


class Crew(Generic[T]):
    """Serves queued items, some at a time; after a failure no new ones, but those begun end.

    Args:
        serve: What is done with an item; it may `put` more.
        stopped: Set from outside or by the first failure: nothing new begins.
    """

    def __init__(self, serve: Callable[[T], Awaitable[None]], stopped: asyncio.Event) -> None:
        self._serve, self._stopped = serve, stopped
        self._queue: asyncio.Queue[T] = asyncio.Queue()
        self.failure: tuple[T, Exception] | None = None  # the first

    def put(self, items: Iterable[T]) -> None:
        """Queue more."""
        for item in items:
            self._queue.put_nowait(item)

    async def run(self, count: int) -> None:
        """Serve all, `count` at a time."""
        workers = [asyncio.create_task(self._work()) for _ in range(count)]
        try:
            await self._queue.join()
        finally:
            for worker in workers:
                worker.cancel()

    async def _work(self) -> None:
        while True:
            item = await self._queue.get()
            try:
                if not self._stopped.is_set():
                    await self._serve(item)
            except Stopped:
                pass
            except (
                Exception
            ) as error:  # of any kind: for the caller of `run`, not lost with this task
                self.failure = self.failure or (item, error)
                self._stopped.set()
            finally:
                self._queue.task_done()
