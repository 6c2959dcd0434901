"""Buying responses: what the store has not yet is asked for, many requests at a time."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prefopt_core.ground.errors import ConfigError, ServerError
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.spending import Spending, spend
from prefopt_core.models.server.endpoint import (
    Answer,
    Endpoint,
    PassingError,
    Place,
    RefusedError,
    Stopped,
)
from prefopt_core.models.server.kept import Choice, ResponsePurchase, ResponseStore, Usage
from prefopt_core.store.artifacts import sha256_of
from prefopt_core.store.stage import stage_store

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
    "`extra_body`; `temperature` or `top_p` is not sent if it is null."
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
class Sent:
    """A prompt, and what is sent of it."""

    prompt: Prompt
    content: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """Under what the responses are kept."""
        return sha256_of(self.content)


@dataclass(frozen=True)
class _Ask:
    """Samples `first` to `first + count - 1` of one prompt."""

    sent: Sent
    first: int
    count: int

    def parts(self, most: int | None) -> Iterator["_Ask"]:
        """The same in requests of at most `most` samples."""
        size, end = most or self.count, self.first + self.count
        for first in range(self.first, end, size):
            yield _Ask(self.sent, first, min(size, end - first))


def buy(sent: Sequence[Sent], order: Order, place: Place, prices: Prices) -> list[list[Choice]]:
    """Have `order.n` samples of every prompt: those the store holds, and the others bought."""
    with ResponseStore(stage_store().root).buying(order.writer) as purchase:
        distinct = list({each.digest: each for each in sent}.values())
        asks = [
            ask
            for each in distinct
            for ask in _missing(each, purchase.known(each.digest).keys(), order.n)
        ]
        if asks:
            buyer = _Buyer(order, place, prices, purchase, len(distinct) * order.n)
            asyncio.run(buyer.buy(asks))
        known = [purchase.known(each.digest) for each in sent]
    return [[choices[sample] for sample in range(order.n)] for choices in known]


def _missing(sent: Sent, known: Iterable[int], n: int) -> Iterator[_Ask]:
    """Runs of samples that are not known, in order."""
    first = 0
    for sample in [*sorted(s for s in known if s < n), n]:
        if sample > first:
            yield _Ask(sent, first, sample - first)
        first = sample + 1


class _Buyer:
    def __init__(
        self, order: Order, place: Place, prices: Prices, purchase: ResponsePurchase, total: int
    ) -> None:
        self._order, self._place, self._prices, self._purchase = order, place, prices, purchase
        self._total = total  # responses
        self._done = 0
        self._most: int | None = None  # choices that this server gives at a time, once known
        self._failure: tuple[_Ask, Exception] | None = None  # the first

    async def buy(self, asks: Sequence[_Ask]) -> None:
        """Send all requests; after a failure no new ones, but what is under way still arrives."""
        self._done = self._total - sum(ask.count for ask in asks)
        self._queue: asyncio.Queue[_Ask] = asyncio.Queue()
        self._put(asks)
        async with Endpoint(self._place) as self._endpoint:
            count = min(self._place.concurrency, self._total)
            workers = [asyncio.create_task(self._work()) for _ in range(count)]
            try:
                await self._queue.join()
            finally:
                for worker in workers:
                    worker.cancel()
        if self._failure:  # told only now, when it is known what has arrived
            raise self._told(*self._failure)

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
                self._failure = self._failure or (ask, error)
                self._endpoint.stopped.set()
            finally:
                self._queue.task_done()

    async def _serve(self, ask: _Ask) -> None:
        ask, *later = ask.parts(self._most)
        self._put(later)
        try:
            answer = await self._answer(ask)
        except RefusedError as error:
            if ask.count == 1 or error.status not in _MAY_MEAN_N:
                raise
            # Perhaps it was the number of choices that it did not like; one alone will tell.
            ask, *others = ask.parts(1)
            answer = await self._answer(ask)
            self._most = 1
            self._put(others)
        self._keep(ask, answer)

    async def _answer(self, ask: _Ask) -> Answer:
        return await self._endpoint.ask(self._request(ask), self._order.extra_body)

    def _keep(self, ask: _Ask, answer: Answer) -> None:
        in_order = sorted(answer.choices, key=lambda choice: choice.index or 0)[: ask.count]
        choices = [(choice.said, choice.finish_reason or "none") for choice in in_order]
        usage = self._prices.usage(answer)
        self._purchase.commit(ask.sent.digest, ask.first, choices, usage)
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
        report_progress(self._done, self._total)
        if left := ask.count - len(choices):
            self._most = len(choices)
            self._put(_Ask(ask.sent, ask.first + len(choices), left).parts(self._most))

    def _request(self, ask: _Ask) -> dict[str, Any]:
        order = self._order
        request = {"model": order.model_name, **ask.sent.content, **order.settings}
        request |= {"n": ask.count} if ask.count > 1 else {}
        if order.seeded:
            name = ask.sent.prompt.prompt_id, str(ask.first)
            request["seed"] = int(rng_for(order.seed, "generation", *name).integers(2**31))
        return request

    def _told(self, ask: _Ask, error: Exception) -> Exception:
        """The first failure in the user's terms."""
        url, place = self._place.base_url, self._place
        kept = (
            f"{self._done} of {self._total} responses of this shard are kept; the same command "
            "goes on from there."
        )
        if isinstance(error, RefusedError):
            prompt = ask.sent.prompt.messages[-1]["content"][:60]
            advice = _ADVICE.get(error.status, _OTHER_ADVICE)
            return ConfigError(f"{url} refuses the prompt {prompt!r}: {error}. {advice} {kept}")
        if isinstance(error, PassingError):
            return ServerError(
                f"{url} gave no answer in {place.max_attempts} attempts; at last: {error}. See to "
                "the server, lower `generation.params.concurrency`, or raise `timeout_s` or "
                f"`max_attempts`. {kept}"
            )
        return error
