"""Buying responses from a model server: those not in the response store, concurrently."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prefopt_core.ground.errors import ConfigError, ServerError
from prefopt_core.ground.ids import Prompt, last_text, quoted
from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.spending import Spending, Usage, spend
from prefopt_core.models.server.endpoint import (
    Answer,
    Endpoint,
    RequestRefusedError,
    ServerSettings,
    Stopped,
    TransientError,
)
from prefopt_core.models.server.kept import ResponsePurchase, ResponseStore, ServedResponse
from prefopt_core.store.artifacts import sha256_of
from prefopt_core.store.stage import stage_store

_MAY_MEAN_N = {400, 422}
"""HTTP statuses with which servers refuse, among others, requests for n > 1 choices."""

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
    n: int

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


@dataclass(frozen=True)
class Prices:
    """Prices of a million prompt and completion tokens, in any currency; both 0: unknown."""

    prompt: float
    completion: float

    def usage(self, answer: Answer) -> Usage:
        """Tokens and cost of one answer."""
        if answer.usage is None:
            return Usage()
        prompt, completion = answer.usage.prompt_tokens, answer.usage.completion_tokens
        if prompt is None or completion is None or not (self.prompt or self.completion):
            return Usage(prompt, completion)
        cost = (prompt * self.prompt + completion * self.completion) / 1e6
        return Usage(prompt, completion, cost)


@dataclass(frozen=True)
class SentPrompt:
    """A prompt, and the fields of the request body that it becomes."""

    prompt: Prompt
    content: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """Key of the prompt in the response store."""
        return sha256_of(self.content)


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
    with ResponseStore(stage_store().root).buying(order.writer) as purchase:
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
        self._failure: tuple[_SampleRange, Exception] | None = None  # the first

    async def buy(self, asks: Sequence[_SampleRange]) -> None:
        """Send all requests; after a failure no new ones, but wait for those in flight."""
        self._done = self._total - sum(ask.count for ask in asks)
        self._queue: asyncio.Queue[_SampleRange] = asyncio.Queue()
        self._put(asks)
        async with Endpoint(self._server) as self._endpoint:
            count = min(self._server.concurrency, self._total)
            workers = [asyncio.create_task(self._work()) for _ in range(count)]
            try:
                await self._queue.join()
            finally:
                for worker in workers:
                    worker.cancel()
        if self._failure:  # raised last, so that the message counts the responses that arrived
            raise self._told(*self._failure)

    def _put(self, asks: Iterable[_SampleRange]) -> None:
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
            except (
                Exception
            ) as error:  # of any kind: raised to the caller by `buy`, not lost with this task
                self._failure = self._failure or (ask, error)
                self._endpoint.stopped.set()
            finally:
                self._queue.task_done()

    async def _serve(self, ask: _SampleRange) -> None:
        ask, *later = ask.parts(self._most)
        self._put(later)
        try:
            answer = await self._answer(ask)
        except RequestRefusedError as error:
            if ask.count == 1 or error.status not in _MAY_MEAN_N:
                raise
            # The server may not support n > 1: repeat the request with n = 1.
            ask, *others = ask.parts(1)
            answer = await self._answer(ask)
            self._most = 1
            self._put(others)
        self._keep(ask, answer)

    async def _answer(self, ask: _SampleRange) -> Answer:
        return await self._endpoint.ask(self._request(ask), self._order.extra_body)

    def _keep(self, ask: _SampleRange, answer: Answer) -> None:
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
            self._put(_SampleRange(ask.sent, ask.first + len(choices), left).parts(self._most))

    def _request(self, ask: _SampleRange) -> dict[str, Any]:
        order = self._order
        request = {"model": order.model_name, **ask.sent.content, **order.settings}
        request |= {"n": ask.count} if ask.count > 1 else {}
        if order.seeded:
            name = ask.sent.prompt.prompt_id, str(ask.first)
            request["seed"] = int(rng_for(order.seed, "generation", *name).integers(2**31))
        return request

    def _told(self, ask: _SampleRange, error: Exception) -> Exception:
        """The exception to raise for the first failure, with what to do."""
        url, server = self._server.base_url, self._server
        kept = (
            f"{self._done} of {self._total} responses of this shard are kept; the same command "
            "goes on from there."
        )
        if isinstance(error, RequestRefusedError):
            prompt = quoted(last_text(ask.sent.prompt.messages))
            advice = _ADVICE.get(error.status, _OTHER_ADVICE)
            return ConfigError(f"{url} refuses the prompt {prompt}: {error}. {advice} {kept}")
        if isinstance(error, TransientError):
            return ServerError(
                f"{url} gave no answer in {server.max_attempts} attempts; at last: {error}. See to "
                "the server, lower `generation.params.concurrency`, or raise `timeout_s` or "
                f"`max_attempts`. {kept}"
            )
        return error
