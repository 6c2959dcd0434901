"""One request, paid for: reserved before, on disk and counted as soon as it is answered."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.spending import Paid, Spending, Usage, reserving, spend
from prefopt_core.models.server.completion import Answer
from prefopt_core.models.server.endpoint import Endpoint, Stopped
from prefopt_core.models.server.kept import ResponsePurchase, ServedResponse
from prefopt_core.models.server.prices import Prices
from prefopt_core.store.artifacts import sha256_of

LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Order:
    """Which responses are bought: the settings that change what the server writes.

    Attributes:
        model_name: Name of the model on the server.
        endpoint: chat or completions.
        settings: Fields of OpenAI's API, such as temperature.
        extra_body: Further fields, which only this server knows.
        seed: Root of the seeds in requests.
        seeded: Whether requests have a seed.
        n: Samples per prompt.
    """

    model_name: str
    endpoint: str
    settings: Mapping[str, Any]
    extra_body: Mapping[str, Any]
    seed: int
    seeded: bool
    n: int = 1

    @property
    def writer(self) -> dict[str, object]:
        """Key of the responses in the response store; without `n`: more samples add to them."""
        return {
            "model": self.model_name,
            "endpoint": self.endpoint,
            **self.settings,
            "extra_body": dict(self.extra_body),
            "seed": self.seed,
        }

    @property
    def most_tokens(self) -> int:
        """The most tokens of a response."""
        return next(int(self.settings[name]) for name in LENGTH_FIELDS if name in self.settings)

    def request(self, sent: "SentPrompt", first: int, count: int) -> dict[str, Any]:
        """The request for samples `first` to `first + count - 1`."""
        request = {"model": self.model_name, **sent.content, **self.settings}
        request |= {"n": count} if count > 1 else {}
        if self.seeded:
            name = sent.prompt.prompt_id, str(first)
            request["seed"] = int(rng_for(self.seed, "generation", *name).integers(2**31))
        return request


@dataclass(frozen=True)
class SentPrompt:
    """A prompt, and the fields of the request body that it becomes."""

    prompt: Prompt
    content: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """Key of the prompt in the response store."""
        return sha256_of(self.content)


class Till:
    """Buys from one server; every answer is on disk before it is returned."""

    def __init__(
        self, order: Order, prices: Prices, purchase: ResponsePurchase, endpoint: Endpoint
    ) -> None:
        self._order, self._prices = order, prices
        self._purchase, self._endpoint = purchase, endpoint
        self._out = 0  # requests that hold money, or try to
        self._returned, self._scarce = asyncio.Event(), asyncio.Lock()

    async def buy(
        self, sent: SentPrompt, first: int = 0, count: int = 1
    ) -> tuple[list[ServedResponse], Usage]:
        """Buy samples of a prompt: at most `count`, at least one.

        Raises:
            OverBudgetError: The run's budget cannot pay the most that the request can cost.
            TransientError: See `Endpoint.repeat`.
            RequestRefusedError: See `Endpoint.ask`.
            Stopped: See `Endpoint.repeat`.
        """
        request = self._order.request(sent, first, count)
        most = self._prices.most(sent.content, count * self._order.most_tokens)

        async def attempt() -> tuple[list[ServedResponse], Usage]:
            async with self._reserved(most) as paid:
                try:
                    answer = await self._endpoint.ask(request, self._order.extra_body)
                    choices, usage = self._kept(answer, sent, first, count)
                except BaseException as error:
                    # Who hears no answer, or stops listening, cannot know that none is billed; and
                    # an answer that the disk does not take is.
                    paid(most if getattr(error, "billed", True) else 0.0)
                    raise
                paid(most if usage.cost is None else usage.cost)
            return choices, usage

        return await self._endpoint.repeat(attempt)

    @asynccontextmanager
    async def _reserved(self, most: float) -> AsyncIterator[Paid]:
        """Hold `most` in the budget; while too little is left, wait for what others give back.

        Far less than the most is what a request costs, so near its end a budget has money held that
        comes free again.
        """
        async with AsyncExitStack() as held:
            paid = None
            if not self._scarce.locked():  # whoever waits comes first
                with suppress(OverBudgetError):
                    paid = await self._hold(held, most)
            if paid is None:
                self._returned.set()  # it is out no more
                async with self._scarce:
                    paid = await self._hold_when_it_fits(held, most)
            yield paid

    async def _hold_when_it_fits(self, held: AsyncExitStack, most: float) -> Paid:
        """Hold `most`, one request at a time: only that one knows that nothing will come back."""
        while not self._endpoint.stopped.is_set():
            self._returned.clear()
            try:
                return await self._hold(held, most)
            except OverBudgetError:
                if not self._out and not self._returned.is_set():
                    raise
            await self._returned.wait()
        raise Stopped

    async def _hold(self, held: AsyncExitStack, most: float) -> Paid:
        """Hold `most`; in a thread, as it is on disk: requests at once wait for that together."""
        self._out += 1
        holding = reserving(most)
        try:
            paid = await asyncio.to_thread(holding.__enter__)
        except BaseException:
            self._out -= 1
            raise
        held.callback(self._give_back)
        held.push_async_callback(asyncio.to_thread, holding.__exit__, None, None, None)
        return paid

    def _give_back(self) -> None:
        self._out -= 1
        self._returned.set()

    def _kept(
        self, answer: Answer, sent: SentPrompt, first: int, count: int
    ) -> tuple[list[ServedResponse], Usage]:
        """Write an answer to the disk, and count it."""
        in_order = sorted(answer.choices, key=lambda choice: choice.index or 0)[:count]
        choices = [ServedResponse(choice.said, choice.reason, choice.likely) for choice in in_order]
        took = answer.usage
        usage = self._prices.usage(took.prompt_tokens, took.completion_tokens) if took else Usage()
        self._purchase.commit(sent.digest, first, choices, usage)
        spend(
            Spending(
                responses=len(choices),
                prompt_tokens=usage.prompt_tokens or 0,
                completion_tokens=usage.completion_tokens or 0,
                cost=usage.cost or 0.0,
                priced_by=self._prices.tables if usage.cost else frozenset(),
                uncounted=usage.prompt_tokens is None or usage.completion_tokens is None,
            )
        )
        return choices, usage
