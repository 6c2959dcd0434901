"""Buying responses from a model server: those not in the response store, concurrently."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prefopt_core.ground.progress import report_progress
from prefopt_core.models.server.crew import Crew
from prefopt_core.models.server.endpoint import Endpoint, RequestRefusedError, ServerSettings
from prefopt_core.models.server.kept import ResponsePurchase, ResponseStore, ServedResponse
from prefopt_core.models.server.prices import Prices
from prefopt_core.models.server.telling import told
from prefopt_core.models.server.till import Order, SentPrompt, Till
from prefopt_core.store.running import stage_store

_MAY_MEAN_N = {400, 422}
"""HTTP statuses with which servers refuse, among others, requests for n > 1 choices."""


@dataclass(frozen=True)
class _SampleRange:
    """Samples `first` to `first + count - 1` of one prompt."""

    sent: SentPrompt
    first: int
    count: int

    def parts(self, most: int | None) -> Iterator["_SampleRange"]:
        """Split into requests of at most `most` samples."""
        size, end = most or self.count, self.first + self.count
        for first in range(self.first, end, size):
            yield _SampleRange(self.sent, first, min(size, end - first))


def buy(
    sent: Sequence[SentPrompt], order: Order, server: ServerSettings, prices: Prices
) -> list[list[ServedResponse]]:
    """Get `order.n` samples of every prompt: from the response store, the others from the server.

    Returns:
        The samples of each prompt.

    Raises:
        ConfigError: The server refuses a request, or the key's environment variable is not set.
        ServerError: The server gave no answer in `server.max_attempts` attempts.
        MissingExtraError: `openai` or `tenacity` is not installed.
        StoreError: The response store cannot be written.
    """
    with ResponseStore(stage_store().ledgers).buying(order.writer) as purchase:
        distinct = list({each.digest: each for each in sent}.values())
        asks = [
            ask
            for each in distinct
            for ask in _missing(each, purchase.known(each.digest).keys(), order.n)
        ]
        if asks:
            buyer = _Buyer(order, server, prices, purchase, len(distinct) * order.n)
            asyncio.run(buyer.buy(asks))
        known = [purchase.known(each.digest) for each in sent]
    return [[choices[sample] for sample in range(order.n)] for choices in known]


def _missing(sent: SentPrompt, known: Iterable[int], n: int) -> Iterator[_SampleRange]:
    """Ranges of samples that are not in the response store, in order."""
    first = 0
    for sample in [*sorted(s for s in known if s < n), n]:
        if sample > first:
            yield _SampleRange(sent, first, sample - first)
        first = sample + 1


class _Buyer:
    def __init__(
        self,
        order: Order,
        server: ServerSettings,
        prices: Prices,
        purchase: ResponsePurchase,
        total: int,
    ) -> None:
        self._order, self._server, self._prices, self._purchase = order, server, prices, purchase
        self._total = total  # responses
        self._done = 0
        self._most: int | None = None  # the most choices a request may ask for, once known

    async def buy(self, asks: Sequence[_SampleRange]) -> None:
        """Send all requests; after a failure no new ones, but wait for those in flight."""
        self._done = self._total - sum(ask.count for ask in asks)
        async with Endpoint(self._server) as endpoint:
            self._till = Till(self._order, self._prices, self._purchase, endpoint)
            self._crew = Crew(self._serve, endpoint.stopped)
            self._crew.put(asks)
            await self._crew.run(min(self._server.concurrency, self._total))
        if self._crew.failure:  # raised last, so that the message counts the responses that arrived
            ask, error = self._crew.failure
            kept = (
                f"{self._done} of {self._total} responses of this shard are kept; the same command "
                "goes on from there."
            )
            raise told(error, ask.sent.prompt, self._server, kept)

    async def _serve(self, ask: _SampleRange) -> None:
        ask, *later = ask.parts(self._most)
        self._crew.put(later)
        try:
            choices, _ = await self._till.buy(ask.sent, ask.first, ask.count)
        except RequestRefusedError as error:
            if ask.count == 1 or error.status not in _MAY_MEAN_N:
                raise
            # The server may not support n > 1: repeat the request with n = 1.
            ask, *others = ask.parts(1)
            choices, _ = await self._till.buy(ask.sent, ask.first, ask.count)
            self._most = 1
            self._crew.put(others)
        self._done += len(choices)
        report_progress(self._done, self._total)
        if left := ask.count - len(choices):
            self._most = len(choices)
            self._crew.put(_SampleRange(ask.sent, ask.first + len(choices), left).parts(self._most))
