"""Buying responses: what the store has not yet is asked for, many requests at a time."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefopt_core.artifacts import sha256_of
from prefopt_core.errors import ConfigError, PrefoptError, ServerError
from prefopt_core.generation import Prompt
from prefopt_core.generation.endpoint import (
    Answer,
    Endpoint,
    PassingError,
    Place,
    RefusedError,
    Stopped,
)
from prefopt_core.progress import report
from prefopt_core.randomness import rng_for
from prefopt_core.responses import Choice, ResponsePurchase, ResponseStore, Usage
from prefopt_core.spending import Spending, spend
from prefopt_core.store import Store

_MAY_MEAN_N = {400, 422}
"""How servers refuse requests, among others those for several choices."""

_ADVICE = {
    401: "Check the key in the environment variable that `generation.params.api_key_env` names.",
    403: "Check that the key `generation.params.api_key_env` names may use this model.",
    404: "Check `generation.params.model_name`, and `base_url`, which mostly ends in /v1.",
    429: "The account has no credit left.",
}
_OTHER_ADVICE = (
    "Check `generation.params`: `endpoint`, `max_new_tokens`, `length_field`, `seeded`, "
    "`extra_body`."
)


@dataclass(frozen=True)
class Order:
    """What is asked of a server; all of it changes what it writes.

    Attributes:
        model_name: As the server calls it.
        endpoint: chat or completions.
        settings: Fields of the API.
        extra_body: Fields of this server.
        seed: Root of the seeds that are sent.
        seeded: Whether any are.
        n: Samples per prompt.
    """

    model_name: str
    endpoint: str
    settings: Mapping[str, Any]
    extra_body: Mapping[str, Any]
    seed: int
    seeded: bool
    n: int

    @property
    def writer(self) -> dict[str, object]:
        """Under what name the responses are kept; more samples are more of the same."""
        return {
            "model": self.model_name,
            "endpoint": self.endpoint,
            **self.settings,
            "extra_body": dict(self.extra_body),
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in any currency; 0 and 0: unknown."""

    prompt: float
    completion: float

    def usage(self, answer: Answer) -> Usage:
        """What an answer took and cost."""
        if answer.usage is None:
            return Usage()
        prompt, completion = answer.usage.prompt_tokens, answer.usage.completion_tokens
        if prompt is None or completion is None or not (self.prompt or self.completion):
            return Usage(prompt, completion)
        cost = (prompt * self.prompt + completion * self.completion) / 1e6
        return Usage(prompt, completion, cost)


@dataclass(frozen=True)
class _Ask:
    """Samples `first` to `first + count - 1` of one prompt."""

    prompt: int
    first: int
    count: int

    def parts(self, most: int | None) -> Iterator["_Ask"]:
        """The same in requests of at most `most` samples."""
        size, end = most or self.count, self.first + self.count
        for first in range(self.first, end, size):
            yield _Ask(self.prompt, first, min(size, end - first))


def buy(
    prompts: Sequence[Prompt],
    contents: Sequence[Mapping[str, Any]],
    order: Order,
    place: Place,
    concurrency: int,
    prices: Prices,
) -> list[list[Choice]]:
    """Have `order.n` samples of every prompt: those the store holds, and the others bought.

    Args:
        prompts: Whose ids the seeds come from.
        contents: What is sent of each.
        order: What else is asked.
        place: Of the server.
        concurrency: Requests at a time.
        prices: For the record.
    """
    digests = [sha256_of(content) for content in contents]
    with ResponseStore(Store.open().root).buying(order.writer) as purchase:
        asks = [
            ask
            for number, digest in enumerate(digests)
            for ask in _missing(number, purchase.known(digest).keys(), order.n)
        ]
        if asks:
            buyer = _Buyer(prompts, contents, digests, order, place, prices, purchase)
            asyncio.run(buyer.buy(asks, concurrency))
        known = [purchase.known(digest) for digest in digests]
    return [[choices[sample] for sample in range(order.n)] for choices in known]


def _missing(prompt: int, known: Iterable[int], n: int) -> Iterator[_Ask]:
    """Runs of samples that are not known, in order."""
    first = 0
    for sample in [*sorted(s for s in known if s < n), n]:
        if sample > first:
            yield _Ask(prompt, first, sample - first)
        first = sample + 1


class _Buyer:
    def __init__(
        self,
        prompts: Sequence[Prompt],
        contents: Sequence[Mapping[str, Any]],
        digests: Sequence[str],
        order: Order,
        place: Place,
        prices: Prices,
        purchase: ResponsePurchase,
    ) -> None:
        self._prompts, self._contents, self._digests = prompts, contents, digests
        self._order, self._place, self._prices, self._purchase = order, place, prices, purchase
        self._total = len(prompts) * order.n
        self._done = 0
        self._most: int | None = None  # choices that this server gives at a time, once known
        self._failure: BaseException | None = None

    async def buy(self, asks: Sequence[_Ask], concurrency: int) -> None:
        """Send all requests; after a failure no new ones, but what is under way still arrives."""
        self._done = self._total - sum(ask.count for ask in asks)
        self._queue: asyncio.Queue[_Ask] = asyncio.Queue()
        self._put(asks)
        async with Endpoint(self._place) as self._endpoint:
            workers = [
                asyncio.create_task(self._work()) for _ in range(min(concurrency, self._total))
            ]
            try:
                await self._queue.join()
            finally:
                for worker in workers:
                    worker.cancel()
        if self._failure:
            raise self._failure

    def _put(self, asks: Iterable[_Ask]) -> None:
        for ask in asks:
            self._queue.put_nowait(ask)

    async def _work(self) -> None:
        while True:
            ask = await self._queue.get()
            try:
                if not self._failure:
                    await self._serve(ask)
            except Stopped:
                pass
            except Exception as error:  # of whatever kind: it must reach the caller, not end a task
                self._failure = self._failure or error
                self._endpoint.stopped.set()
            finally:
                self._queue.task_done()

    async def _serve(self, ask: _Ask) -> None:
        ask, *later = ask.parts(self._most)
        self._put(later)
        try:
            answer = await self._endpoint.ask(self._request(ask), self._order.extra_body)
        except RefusedError as error:
            if ask.count == 1 or error.status not in _MAY_MEAN_N:
                raise self._refused(ask, error) from None
            self._most = 1  # perhaps it was the number of choices that it did not like
            self._put(ask.parts(1))
            return
        except PassingError as error:
            raise self._given_up(error) from None
        self._keep(ask, answer)

    def _keep(self, ask: _Ask, answer: Answer) -> None:
        in_order = sorted(answer.choices, key=lambda choice: choice.index)[: ask.count]
        choices = [(choice.said, choice.finish_reason or "none") for choice in in_order]
        usage = self._prices.usage(answer)
        self._purchase.commit(self._digests[ask.prompt], ask.first, choices, usage)
        spend(
            Spending(
                responses=len(choices),
                prompt_tokens=usage.prompt_tokens or 0,
                completion_tokens=usage.completion_tokens or 0,
                cost=usage.cost or 0.0,
                uncounted=usage.prompt_tokens is None or usage.completion_tokens is None,
            )
        )
        self._done += len(choices)
        report(self._done, self._total)
        if left := ask.count - len(choices):
            self._most = len(choices)
            self._put(_Ask(ask.prompt, ask.first + len(choices), left).parts(self._most))

    def _request(self, ask: _Ask) -> dict[str, Any]:
        order = self._order
        request = {"model": order.model_name, **self._contents[ask.prompt], **order.settings}
        request |= {"n": ask.count} if ask.count > 1 else {}
        if order.seeded:
            name = self._prompts[ask.prompt].prompt_id, str(ask.first)
            request["seed"] = int(rng_for(order.seed, "generation", *name).integers(2**31))
        return request

    def _refused(self, ask: _Ask, error: RefusedError) -> PrefoptError:
        prompt = self._prompts[ask.prompt].messages[-1]["content"][:60]
        return ConfigError(
            f"{self._place.base_url} refuses to answer the prompt {prompt!r}: {error}. "
            f"{_ADVICE.get(error.status, _OTHER_ADVICE)} {self._kept()}"
        )

    def _given_up(self, error: PassingError) -> PrefoptError:
        return ServerError(
            f"{self._place.base_url} gave no answer in {self._place.max_attempts} attempts; at "
            f"last: {error}. See to the server, lower `generation.params.concurrency`, or raise "
            f"`timeout_s` or `max_attempts`. {self._kept()}"
        )

    def _kept(self) -> str:
        return (
            f"{self._done} of {self._total} responses of this shard are kept; the same command "
            "goes on from there."
        )
