"""The answers of servers with OpenAI's API: the fields that are used."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from math import isfinite
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from prefopt_core.models.server.failures import is_failure
from prefopt_core.models.server.kept import LikelyTokens

T = TypeVar("T")

_HALF = re.compile("[\ud800-\udfff]")


def _or_unknown(value: Any, read: Callable[[Any], T]) -> T | None:
    # What was paid for is kept even if it has another form than OpenAI's.
    with suppress(ValidationError):
        return read(value)
    return None


class _Part(BaseModel):
    text: str = ""


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    refusal: str | None = None  # what a model says in the place of a content

    _other_refusal = field_validator("refusal", mode="wrap")(_or_unknown)


class _Likely(BaseModel):
    token: str
    logprob: float


class _Token(_Likely):
    top_logprobs: list[_Likely] = []


class _Logprobs(BaseModel):
    content: list[_Token]


class _Choice(BaseModel):
    index: int | None = None
    finish_reason: str | None = None
    message: _Message | None = None  # of a chat
    text: str | None = None  # of a completion
    error: Any = None  # a gateway's, about its upstream
    logprobs: _Logprobs | None = None

    _other_logprobs = field_validator("logprobs", mode="wrap")(_or_unknown)

    @property
    def refusal(self) -> str | None:
        return self.message.refusal if self.message and not self.message.content else None

    @property
    def said(self) -> str | None:
        content = self.message.content if self.message else self.text
        text = "".join(p.text for p in content) if isinstance(content, list) else content
        return self.refusal or text

    @property
    def reason(self) -> str:
        return "refusal" if self.refusal else self.finish_reason or "none"

    @property
    def likely(self) -> list[LikelyTokens] | None:
        if self.logprobs is None:
            return None
        # What is no number, or minus infinity, cannot stand in JSON, and says nothing.
        return [
            (token.token, {t.token: t.logprob for t in token.top_logprobs if isfinite(t.logprob)})
            for token in self.logprobs.content
        ]

    @property
    def failed(self) -> bool:
        return bool(self.error) or is_failure(self.said, self.reason)


_Tokens = Annotated[int, Field(ge=0, le=2**53)]
"""Less than none would raise a budget, and more than there can be does not fit into the store."""


class _Usage(BaseModel):
    prompt_tokens: _Tokens | None = None
    completion_tokens: _Tokens | None = None


class Answer(BaseModel):
    """The fields of a completion that are used; others are ignored."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    error: Any = None

    _other_usage = field_validator("usage", mode="wrap")(_or_unknown)


def read_answer(content: bytes) -> Answer:
    """The answer in a body; half of a character, where it was cut, is U+FFFD as tokenizers do it.

    Raises:
        ValueError: It is no completion.
    """
    with suppress(ValidationError):
        return Answer.model_validate_json(content)
    try:
        text = json.dumps(json.loads(content), ensure_ascii=False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return Answer.model_validate_json(_HALF.sub("\ufffd", text))
