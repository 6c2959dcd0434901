"""Ask a language model that judges: any OpenAI-compatible server, hosted or on this machine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from prefopt_core.annotation.judge import (
    Conversation,
    Judge,
    JudgeSettings,
    checked,
    fitting,
    text_in,
)
from prefopt_core.ground.extras import no_extra
from prefopt_core.ground.registry import SpeedOnly, Spread
from prefopt_core.labels.questions import Question, Verdict
from prefopt_core.models.server.address import (
    OURS,
    Wording,
    check_address,
)
from prefopt_core.models.server.asking import ask_each
from prefopt_core.models.server.endpoint import ServerSettings
from prefopt_core.models.server.prices import Prices, missing_price
from prefopt_core.models.server.probing import probed
from prefopt_core.models.server.secrets import Address, ExtraBody, KeyVariable
from prefopt_core.models.server.till import Order

_WORDING = Wording(
    "params",
    "`max_new_tokens`, `length_field`, `top_logprobs`, `seeded`, `extra_body`; `temperature` is "
    "not sent if it is null",
)
_OURS = OURS | {"logprobs", "top_logprobs"}


def annotate(
    questions: Sequence[Question],
    *,
    base_url: SpeedOnly[Address],
    model_name: str,
    judging: Spread[JudgeSettings],
    api_key_env: SpeedOnly[KeyVariable | None] = None,
    temperature: NonNegativeFloat | None = 0.0,
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 5,
    seeded: bool = True,
    extra_body: ExtraBody = None,
    concurrency: SpeedOnly[PositiveInt] = 16,
    timeout_s: SpeedOnly[PositiveFloat] = 600.0,
    max_attempts: SpeedOnly[PositiveInt] = 8,
    price_prompt: SpeedOnly[NonNegativeFloat | None] = None,
    price_completion: SpeedOnly[NonNegativeFloat | None] = None,
) -> Iterator[Verdict]:
    """Ask an LLM judge on an OpenAI-compatible server; an answer is never bought twice.

    Every answer is on disk before its verdict is yielded, and is read again for nothing when a
    template's header changes. A verdict is `invalid` if the last of `attempts` answers has none;
    `why` then has that answer.

    Args:
        questions: One response to score each, or two to compare.
        base_url: The server's address, `https://host/v1` or the like, without user or password.
        model_name: The judge's name on the server.
        judging: What the judge is asked, and how.
        api_key_env: Name of the environment variable that holds the key; null: the server needs
            none.
        temperature: 0: the judge's likeliest words; null: not sent, for models that refuse it.
        length_field: The request's field for `max_new_tokens`; some models take
            `max_completion_tokens` only.
        top_logprobs: Of templates that read a token: how many likely tokens the server is asked
            for, whose probabilities say how sure the judge is; 0: none, the verdict is 1 or 0.
        seeded: Send a seed with every request; false: for servers that refuse it.
        extra_body: Further fields of every request that only this server knows; null: none. Fields
            that prefopt sends itself are refused.
        concurrency: Requests at a time.
        timeout_s: Seconds to wait for an answer before the request is repeated.
        max_attempts: The most times a request is sent until there is an answer; then the run ends,
            and what has arrived is kept.
        price_prompt: Of a million prompt tokens, any currency; with both prices null those of
            `genai-prices` in US dollars, if it knows the address and the model.
        price_completion: Of a million tokens of answers, in the same currency.

    Yields:
        A verdict a question, in order, as soon as it is known.

    Raises:
        ConfigError: A setting or the template is unusable, or the server refuses a request.
        ServerError: The server does not answer.
        MissingExtraError: The extra `openai` is not installed.
    """
    check_address(_WORDING.where, base_url, extra_body, _OURS)
    judge = Judge.of(judging)
    settings = {"temperature": temperature, length_field: judging.max_new_tokens}
    if judge.template.header.read == "token" and top_logprobs:
        settings |= {"logprobs": True, "top_logprobs": top_logprobs}
    order = Order(
        model_name=model_name,
        endpoint="chat",
        settings={name: value for name, value in settings.items() if value is not None},
        extra_body=extra_body or {},
        seed=0,
        seeded=seeded,
    )
    server = ServerSettings(
        _WORDING, base_url, api_key_env, "chat", concurrency, timeout_s, max_attempts
    )
    prices = Prices(price_prompt, price_completion, base_url, model_name)
    asked = [judge.asked(question) for question in questions]
    sent = [each for each in asked if isinstance(each, Conversation)]
    with closing(ask_each(sent, judge.further, order, server, prices)) as replies:
        for each in asked:
            verdict = each if isinstance(each, Verdict) else judge.verdict(*next(replies))
            yield replace(verdict, by=model_name)


def check_annotate(
    *,
    base_url: str,
    model_name: str,
    extra_body: Mapping[str, Any] | None,
    api_key_env: str | None,
    ask: str,
    template: str,
    guidelines: str | None,
    price_prompt: float | None,
    price_completion: float | None,
) -> Iterator[str]:
    """Look at the address, the server, the price, and what the template makes of a question.

    Raises:
        ConfigError: The address, a field of `extra_body`, the template or the guidelines cannot be
            used.
    """
    check_address(_WORDING.where, base_url, extra_body, _OURS)
    checked(Judge(fitting(template, ask), text_in(guidelines), 1))
    yield from no_extra("openai", "openai")
    yield from probed(base_url, model_name, api_key_env)
    yield from missing_price(Prices(price_prompt, price_completion, base_url, model_name))
