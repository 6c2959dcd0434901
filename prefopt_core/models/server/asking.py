"""Asking a model server many things once each, the answers in order as they arrive.

What is asked can lead to a further request, such as one more time where an answer is of no use. The
requests go out from a thread of their own, so that the caller can keep one answer while others are
under way; they run ahead of the caller by a few answers, not by all of them.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, closing, suppress
from contextvars import copy_context
from dataclasses import astuple
from queue import SimpleQueue
from threading import Thread
from typing import Any

from prefopt_core.ground.spending import Usage
from prefopt_core.models.server.crew import Crew
from prefopt_core.models.server.endpoint import Endpoint, ServerSettings
from prefopt_core.models.server.kept import ResponsePurchase, ResponseStore, ServedResponse
from prefopt_core.models.server.prices import Prices
from prefopt_core.models.server.telling import told
from prefopt_core.models.server.till import Order, SentPrompt, Till
from prefopt_core.store.running import stage_store

_AHEAD = 4
"""For each request at a time, so many answers at most that the caller has not taken yet."""

Further = Callable[[SentPrompt, ServedResponse], SentPrompt | None]
"""What to ask after an answer; None: nothing, the answer will do."""

Reply = tuple[ServedResponse, Usage]
"""The last answer, and what all requests took that led to it, also those that were paid for before:
if a run was killed between an answer and its verdict, the verdict costs what the answer did."""


def ask_each(
    sent: Sequence[SentPrompt],
    further: Further,
    order: Order,
    server: ServerSettings,
    prices: Prices,
) -> Generator[Reply]:
    """Ask each thing and what `further` says; answers that the response store has are not paid for.

    Args:
        sent: What is asked. What is asked twice is asked once.
        further: Called with every answer.
        order: Settings that change what the server writes.
        server: Who is asked.
        prices: What it costs.

    Yields:
        The last answer to each, in order. It is on disk before it is yielded.

    Raises:
        ConfigError: The server refuses a request, or the key's environment variable is not set.
        ServerError: The server gave no answer in `server.max_attempts` attempts.
        MissingExtraError: `openai` or `tenacity` is not installed.
        StoreError: The response store cannot be written.
    """
    distinct = list({each.digest: each for each in sent}.values())
    with ResponseStore(stage_store().ledgers).buying(order.writer) as purchase:
        arriving = _Asking(distinct, further, order, server, prices, purchase).replies()
        replies: dict[str, Reply] = {}
        with closing(arriving):
            for each in sent:
                while each.digest not in replies:
                    replies.update([next(arriving)])
                yield replies[each.digest]
                replies[each.digest] = replies[each.digest][0], _NOTHING  # if it comes again


_NOTHING = Usage(0, 0, 0.0)


class _Asking:
    def __init__(
        self,
        sent: Sequence[SentPrompt],
        further: Further,
        order: Order,
        server: ServerSettings,
        prices: Prices,
        purchase: ResponsePurchase,
    ) -> None:
        self._sent, self._further, self._order = sent, further, order
        self._server, self._prices, self._purchase = server, prices, purchase
        self._found: SimpleQueue[tuple[str, Reply] | BaseException] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._ahead = asyncio.Semaphore(_AHEAD * server.concurrency)
        self._till: Till | None = None
        self._done = 0

    def replies(self) -> Generator[tuple[str, Reply]]:
        """Digest and reply, each as it arrives; after `close` no request is made."""
        thread = Thread(target=copy_context().run, args=(self._run,), daemon=True)
        thread.start()
        try:
            for _ in self._sent:
                found = self._found.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
                self._tell(self._ahead.release)
        except KeyboardInterrupt:
            self._tell(self._cancel)  # what is under way may take minutes
            raise
        finally:
            self._tell(self._stop)
            thread.join()

    def _tell(self, function: Callable[[], object]) -> None:
        """Have the thread of the requests call a function, unless it has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _stop(self) -> None:
        self._stopped.set()
        for _ in self._sent:  # who waits for the caller
            self._ahead.release()

    def _cancel(self) -> None:
        self._main.cancel()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._ask())
        except BaseException as error:  # of any kind: the caller waits for it
            self._found.put(error)

    async def _ask(self) -> None:
        self._main: Any = asyncio.current_task()
        crew = Crew(self._serve, self._stopped)
        crew.put(self._sent)
        async with AsyncExitStack() as self._open:
            await crew.run(min(self._server.concurrency, len(self._sent)))
        if crew.failure:
            sent, error = crew.failure
            kept = (
                f"{self._done} of {len(self._sent)} answers are kept; the same command goes on "
                "from there."
            )
            raise told(error, sent.prompt, self._server, kept)

    async def _serve(self, sent: SentPrompt) -> None:
        await self._ahead.acquire()
        if self._stopped.is_set():
            return
        digest, total = sent.digest, _NOTHING
        further: SentPrompt | None = sent
        while further is not None:
            answer, usage = await self._answer(further)
            total = _sum(total, usage)
            further = self._further(further, answer)
        self._done += 1
        self._found.put((digest, (answer, total)))

    async def _answer(self, sent: SentPrompt) -> Reply:
        if kept := self._purchase.answer(sent.digest):
            return kept
        if self._till is None:  # the first that is not kept: from here on a key is needed
            endpoint = await self._open.enter_async_context(Endpoint(self._server, self._stopped))
            self._till = Till(self._order, self._prices, self._purchase, endpoint)
        (answer,), usage = await self._till.buy(sent)
        return answer, usage


def _sum(one: Usage, other: Usage) -> Usage:
    """What two requests took; unknown if one is."""
    pairs = zip(astuple(one), astuple(other), strict=True)
    return Usage(*(None if None in pair else sum(pair) for pair in pairs))
