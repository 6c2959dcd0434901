"""One request to an OpenAI-compatible server, until it is answered or refused for good.

The `openai` client could repeat requests itself. It takes answers that are no completion for
answers, waits 8 s at most, gives up on a `Retry-After` of more than two minutes and lets a server
that sends a byte now and then go on for ever; so it sends once, and `tenacity` repeats.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import import_extra

log = logging.getLogger(__name__)

FIRST_WAIT_S = 2.0
"""At most, then twice as long each time, up to a minute: together they outlast a limit that is
counted by the minute."""

_LONGEST_WAIT_S = 300.0
"""However long a server asks us to wait."""

_PASSING = {408, 409, 429}


@dataclass(frozen=True)
class Place:
    """Where a server is and how it is asked; nothing here changes what it writes."""

    base_url: str
    api_key_env: str | None
    endpoint: Literal["chat", "completions"]
    concurrency: int  # requests at a time
    timeout_s: float
    max_attempts: int


class _Part(BaseModel):
    text: str = ""


class _Message(BaseModel):
    content: str | list[_Part] | None = None


class _Choice(BaseModel):
    index: int | None = None
    finish_reason: str | None = None
    message: _Message | None = None  # of a chat
    text: str | None = None  # of a completion

    @property
    def said(self) -> str | None:
        content = self.message.content if self.message else self.text
        return "".join(p.text for p in content) if isinstance(content, list) else content


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Answer(BaseModel):
    """What is read of a server's answer; whatever else it holds is not needed."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None

    @field_validator("usage", mode="wrap")
    @classmethod
    def _or_unknown(cls, value: Any, read: Callable[[Any], _Usage | None]) -> _Usage | None:
        # What was paid for is not thrown away because it is counted in another way.
        with suppress(ValidationError):
            return read(value)
        return None


class PassingError(Exception):
    """Trouble that may pass; `wait_s` if the server said for how long."""

    def __init__(self, words: str, wait_s: float | None = None) -> None:
        super().__init__(words)
        self.wait_s = wait_s


class RefusedError(Exception):
    """The server does not want this request, now or later."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HTTP {status}: {words}")
        self.status = status


class Stopped(Exception):  # noqa: N818, nothing is wrong here
    """Another request failed for good while this one waited to be repeated."""


class Endpoint:
    """An open connection to one server."""

    def __init__(self, place: Place) -> None:
        self._openai = import_extra("openai", "openai")
        self._tenacity = import_extra("tenacity", "openai")
        self._key = _key(place)
        self._place = place
        self._told = False
        self.stopped = asyncio.Event()

    async def __aenter__(self) -> "Endpoint":
        self._client = self._openai.AsyncOpenAI(
            base_url=self._place.base_url,
            # without one it would send whatever OPENAI_API_KEY holds, to any server
            api_key=self._key or "none",
            timeout=self._place.timeout_s,
            max_retries=0,
            default_headers=dict.fromkeys(_headers_set_outside(), self._openai.Omit()),
        )
        # nor who pays, which it takes from the environment, too
        self._client.organization = self._client.project = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._client.close()

    async def ask(self, request: Mapping[str, Any], extra: Mapping[str, Any]) -> Answer:
        """Send a request until there is an answer, at most `max_attempts` times.

        Args:
            request: What the API knows.
            extra: What only this server knows.
        """
        tenacity = self._tenacity
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(PassingError),
            stop=tenacity.stop_after_attempt(self._place.max_attempts),
            wait=self._wait,
            before_sleep=self._tell,
            sleep=self._pause,
            reraise=True,
        )
        answer: Answer = await attempts(self._once, request, extra)
        return answer

    async def _once(self, request: Mapping[str, Any], extra: Mapping[str, Any]) -> Answer:
        openai, client = self._openai, self._client
        api = client.chat.completions if self._place.endpoint == "chat" else client.completions
        try:
            async with asyncio.timeout(self._place.timeout_s):
                raw = await api.with_raw_response.create(**request, extra_body=extra)
        except (TimeoutError, openai.APITimeoutError):
            raise PassingError(f"no answer in {self._place.timeout_s:g} s") from None
        except openai.APIStatusError as error:
            raise self._failure(error) from None
        except openai.APIConnectionError as error:
            raise PassingError(f"the connection failed ({error.__cause__ or error})") from None
        try:
            return Answer.model_validate_json(raw.content)
        except ValidationError:
            text = self._without_key(raw.content.decode(errors="replace"))[:200]
            raise PassingError(f"it answered with what is no completion: {text!r}") from None

    def _failure(self, error: Any) -> PassingError | RefusedError:
        status, words = error.status_code, self._words(error)
        if (status in _PASSING or status >= 500) and error.code != "insufficient_quota":
            wait = wait_asked_for(error.response.headers.get("retry-after"))
            return PassingError(f"HTTP {status}: {words}", wait)
        return RefusedError(status, words)

    def _words(self, error: Any) -> str:
        """The server's own words."""
        body = error.body if isinstance(error.body, dict) else {}
        words = str(body.get("message") or json.dumps(error.body)).strip()
        return self._without_key(words)[:300]

    def _without_key(self, words: str) -> str:
        """Some servers repeat it."""
        return words.replace(self._key, "…") if self._key else words

    def _wait(self, state: Any) -> float:
        asked = min(state.outcome.exception().wait_s or 0.0, _LONGEST_WAIT_S)
        # Also where it said how long: those who were told the same do not come back together.
        own = self._tenacity.wait_random_exponential(multiplier=FIRST_WAIT_S, max=60)(state)
        return float(max(asked, own))

    def _tell(self, state: Any) -> None:
        level = logging.DEBUG if self._told else logging.WARNING
        self._told = True
        problem, wait = state.outcome.exception(), state.next_action.sleep
        log.log(
            level,
            "%s: %s. Asking again in %.0f s; later repetitions are not shown.",
            self._place.base_url,
            problem,
            wait,
        )

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)
            raise Stopped


def _headers_set_outside() -> list[str]:
    """Names in OPENAI_CUSTOM_HEADERS: lines of `name: value` that are meant for OpenAI."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    return [line.partition(":")[0].strip() for line in lines if ":" in line]


def _key(place: Place) -> str:
    if place.api_key_env is None:
        return ""
    key = os.environ.get(place.api_key_env, "").strip()
    if not key:
        raise ConfigError(
            f"The environment variable {place.api_key_env}, which `generation.params.api_key_env` "
            f"names, is not set. Put the key for {place.base_url} in it, or leave the setting out "
            "if that server needs none."
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
