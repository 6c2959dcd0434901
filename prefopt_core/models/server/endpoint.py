"""Requests to an OpenAI-compatible server, repeated (retry with back-off) until answered.

The retries are `tenacity`'s, not the `openai` client's own, which accept answers that are no
completions, wait 8 s at most, ignore a `Retry-After` of more than two minutes, and have no limit
for a server that sends a byte now and then.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal, TypeVar

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import import_extra
from prefopt_core.ground.foreign import cut, visible
from prefopt_core.ground.loopback import spare_loopback
from prefopt_core.models.server.address import Wording
from prefopt_core.models.server.completion import Answer, read_answer
from prefopt_core.models.server.secrets import key_in, masked
from prefopt_core.models.server.waiting import Waiting

FIRST_WAIT_S = 2.0
"""Longest first wait of the exponential back-off; it doubles up to a minute, which outlasts a rate
limit that is counted by the minute."""

_LONGEST_WAIT_S = 300.0
"""Longest wait, even if a server's `Retry-After` says more."""

_TRANSIENT = {408, 409, 429}
_NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout"}
"""Errors of `httpx` before a server has the request."""

_READ = 10_000
"""Characters of a failure that are looked at; far fewer are shown."""

_LONG = 12
"""Characters of a key that stand in no answer by chance."""

T = TypeVar("T")


@dataclass(frozen=True)
class ServerSettings:
    """Address of a server and how requests are sent; no setting here changes what it writes."""

    wording: Wording  # names of the settings, for messages
    base_url: str
    api_key_env: str | None
    endpoint: Literal["chat", "completions"]
    concurrency: int  # requests at a time
    timeout_s: float
    max_attempts: int


class TransientError(Exception):
    """A failure worth a retry.

    Attributes:
        wait_s: The server's `Retry-After`, if it sent one.
        billed: Whether the server may have answered, and bill it.
    """

    def __init__(self, words: str, wait_s: float | None = None, *, billed: bool = False) -> None:
        super().__init__(words)
        self.wait_s, self.billed = wait_s, billed


class RequestRefusedError(Exception):
    """The server refuses this request: a retry is of no use."""

    billed = False

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HTTP {status}: {words}")
        self.status = status


class Stopped(Exception):  # noqa: N818, nothing is wrong here
    """Another request failed for good while this one waited for its retry."""


class Endpoint:
    """An open connection to one server; an async context manager.

    Args:
        server: Who is asked.
        stopped: Once it is set, nobody waits for a retry; None: an event of its own.

    Raises:
        ConfigError: The environment variable for the key is named and not set.
        MissingExtraError: `openai` or `tenacity` is not installed.
    """

    def __init__(self, server: ServerSettings, stopped: asyncio.Event | None = None) -> None:
        self._openai = import_extra("openai", "openai")
        self._tenacity = import_extra("tenacity", "openai")
        self._key = _key(server)
        self._server = server
        self._waiting = Waiting(server.base_url)
        self.stopped = stopped or asyncio.Event()

    async def __aenter__(self) -> "Endpoint":
        spare_loopback()
        self._client = self._openai.AsyncOpenAI(
            base_url=self._server.base_url,
            # without a value the client would send OPENAI_API_KEY to any server
            api_key=self._key or "none",
            timeout=self._server.timeout_s,
            max_retries=0,
            default_headers=dict.fromkeys(_headers_set_outside(), self._openai.Omit()),
        )
        # nor the organization and project, which the client also takes from the environment
        self._client.organization = self._client.project = None
        self._watching = asyncio.create_task(self._waiting.watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await self._client.close()

    async def repeat(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Await `attempt` until it succeeds, at most `max_attempts` times, with back-off.

        Raises:
            TransientError: The last attempt failed, too.
            Stopped: `stopped` was set while this request waited for its retry.
        """
        tenacity = self._tenacity
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=tenacity.stop_after_attempt(self._server.max_attempts),
            wait=self._wait,
            before_sleep=self._tell,
            sleep=self._pause,
            reraise=True,
        )
        done: T = await attempts(attempt)
        return done

    async def ask(self, request: Mapping[str, Any], extra: Mapping[str, Any]) -> Answer:
        """Send a request once.

        Args:
            request: Fields of OpenAI's API.
            extra: Further fields of the body, which only this server knows.

        Raises:
            TransientError: There is no answer, and might be one to the next attempt.
            RequestRefusedError: The server refuses the request.
        """
        openai, client = self._openai, self._client
        api = client.chat.completions if self._server.endpoint == "chat" else client.completions
        try:
            async with asyncio.timeout(self._server.timeout_s):
                with self._waiting.request():
                    raw = await api.with_raw_response.create(**request, extra_body=extra)
        except (TimeoutError, openai.APITimeoutError):
            words = f"no answer in {self._server.timeout_s:g} s"
            raise TransientError(words, billed=True) from None
        except openai.APIStatusError as error:
            raise self._failure(error) from None
        except openai.APIConnectionError as error:
            cause = masked(str(error.__cause__ or error), self._key)
            words = f"the connection failed ({cause})"
            begun = type(error.__cause__).__name__ not in _NOT_SENT
            raise TransientError(words, billed=begun) from None
        if len(self._key) >= _LONG and self._key.encode() in raw.content:
            raise self._no_answer(raw.content, "the key that it was sent", billed=True)
        try:
            answer = read_answer(raw.content)
        except ValueError:
            raise self._no_answer(raw.content, "what is no completion", billed=True) from None
        answer.choices = [choice for choice in answer.choices if not choice.failed]
        if answer.error or not answer.choices:
            what, billed = "an error in the place of a response", answer.usage is not None
            raise self._no_answer(raw.content, what, billed=billed)
        return answer

    def _no_answer(
        self, content: bytes, what: str, *, billed: bool
    ) -> TransientError | RequestRefusedError:
        text = cut(masked(content[:_READ].decode(errors="replace"), self._key), 200)
        with suppress(ValueError, TypeError, KeyError):
            status = int(json.loads(content)["error"]["code"])
            if 400 <= status < 500 and status not in _TRANSIENT:
                return RequestRefusedError(status, text)
        return TransientError(f"it answered with {what}: {text!r}", billed=billed)

    def _failure(self, error: Any) -> TransientError | RequestRefusedError:
        status, words = error.status_code, self._words(error)
        if (status in _TRANSIENT or status >= 500) and error.code != "insufficient_quota":
            wait = wait_asked_for(error.response.headers.get("retry-after"))
            return TransientError(f"HTTP {status}: {words}", wait)
        return RequestRefusedError(status, words)

    def _words(self, error: Any) -> str:
        """The server's error message."""
        body = error.body if isinstance(error.body, dict) else {}
        words = str(body.get("message") or json.dumps(error.body)).strip()
        return visible(cut(masked(words[:_READ], self._key), 300))

    def _wait(self, state: Any) -> float:
        asked = min(state.outcome.exception().wait_s or 0.0, _LONGEST_WAIT_S)
        # Random even beside a Retry-After: requests that got the same one must not return together.
        own = self._tenacity.wait_random_exponential(multiplier=FIRST_WAIT_S, max=60)(state)
        return float(max(asked, own))

    def _tell(self, state: Any) -> None:
        self._waiting.repeated(state.outcome.exception(), state.next_action.sleep)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)
            raise Stopped


def _headers_set_outside() -> list[str]:
    """Names in OPENAI_CUSTOM_HEADERS: lines of `name: value` that are meant for OpenAI."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    return [line.partition(":")[0].strip() for line in lines if ":" in line]


def _key(server: ServerSettings) -> str:
    if server.api_key_env is None:
        return ""
    key = key_in(server.api_key_env)
    if not key:
        raise ConfigError(
            f"The environment variable {server.api_key_env}, which "
            f"`{server.wording.where}.api_key_env` names, is not set. Put the key for "
            f"{server.base_url} in it, or leave the setting out if that server needs none."
        )
    return key


def wait_asked_for(header: str | None) -> float | None:
    """Seconds of a `Retry-After` header, which holds a number or a date.

    >>> wait_asked_for("1.5"), wait_asked_for("Thu, 01 Jan 1970 00:00:00 GMT")
    (1.5, 0.0)
    >>> wait_asked_for("soon") is None
    True
    """
    import time

    if header is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(header))
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    return None
