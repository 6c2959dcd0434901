"""Generator `openai`: buy responses from an OpenAI-compatible server, hosted or local."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from prefopt_core.generation import Response
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.extras import no_extra
from prefopt_core.ground.ids import Message, Prompt, last_text, quoted
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.ground.spending import Spending, spend
from prefopt_core.models.server.address import Wording, check_address
from prefopt_core.models.server.answers import FINISH_REASONS, text_of
from prefopt_core.models.server.buying import buy
from prefopt_core.models.server.endpoint import ServerSettings
from prefopt_core.models.server.kept import ServedResponse
from prefopt_core.models.server.prices import Prices
from prefopt_core.models.server.probing import probed
from prefopt_core.models.server.secrets import Address, ExtraBody, KeyVariable
from prefopt_core.models.server.till import Order, SentPrompt
from prefopt_core.models.templates import turn_of

log = logging.getLogger(__name__)

_WORDING = Wording(
    "generation.params",
    "`endpoint`, `max_new_tokens`, `length_field`, `seeded`, `extra_body`; `temperature` or "
    "`top_p` is not sent if it is null",
)


def generate(
    prompts: Sequence[Prompt],
    model: Path | None,
    n: int,
    seed: int,
    *,
    base_url: SpeedOnly[Address],
    model_name: str,
    endpoint: Literal["chat", "completions"] = "chat",
    api_key_env: SpeedOnly[KeyVariable | None] = None,
    temperature: NonNegativeFloat | None = 1.0,
    top_p: Annotated[float, Field(gt=0, le=1)] | None = 1.0,
    max_new_tokens: PositiveInt = 256,
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
    seeded: bool = True,
    extra_body: ExtraBody = None,
    withheld: Literal["error", "drop"] = "error",
    concurrency: SpeedOnly[PositiveInt] = 16,
    timeout_s: SpeedOnly[PositiveFloat] = 600.0,
    max_attempts: SpeedOnly[PositiveInt] = 8,
    price_prompt: SpeedOnly[NonNegativeFloat | None] = None,
    price_completion: SpeedOnly[NonNegativeFloat | None] = None,
) -> list[list[Response]]:
    """Ask an OpenAI-compatible server; what was paid for is kept and never bought twice.

    The endpoint `chat` gets the messages; `completions` gets token ids by the chat template of
    `model`, the same that training uses, or without `model` the text of a prompt of one message.
    Server address and prices are in no cache key, `model_name` is. Prices are of a million tokens.
    A `temperature` or `top_p` of null is not sent, for servers that take one of them only.

    Args:
        prompts: What is answered.
        model: The policy's folder, for its chat template; or None.
        n: Responses per prompt.
        seed: Root of the seeds in requests; another one buys other responses.
        base_url: The server's address, `https://host/v1` or the like, without user or password.
        model_name: The model's name on the server.
        endpoint: "chat" sends the messages, "completions" token ids or a text: see above.
        api_key_env: Name of the environment variable that holds the key; null: the server needs
            none.
        temperature: Divides the logits before sampling: 1 is the model's own distribution, 0 its
            likeliest tokens; null: not sent.
        top_p: Sample from the likeliest tokens that together have this probability; 1: from all;
            null: not sent.
        max_new_tokens: The most tokens of a response, those of thinking included where a server
            counts them; a longer one is cut off.
        length_field: The request's field for `max_new_tokens`; some models take
            `max_completion_tokens` only.
        seeded: Send a seed with every request; false: for servers that refuse it.
        extra_body: Further fields of every request that only this server knows; null: none. Fields
            that prefopt sends itself are refused.
        withheld: What to do where a response has no usable text (content filter, tool call, cut off
            within a model's reasoning, which is no part of the text): "error" ends the run, "drop"
            leaves it out if the prompt has another.
        concurrency: Requests at a time.
        timeout_s: Seconds to wait for an answer before the request is repeated.
        max_attempts: The most times a request is sent, the first one included; then the run ends,
            and what has arrived is kept.
        price_prompt: Of a million prompt tokens, any currency; with both prices null those of
            `genai-prices` in US dollars, if it knows the address and the model.
        price_completion: Of a million tokens of responses, in the same currency.

    Raises:
        ConfigError: A setting is unusable, a prompt cannot be sent without a policy, or the server
            refuses a request.
        DataError: Responses to a prompt have no usable text, and `withheld` is "error".
        ServerError: The server does not answer.
        MissingExtraError: The extra `openai` is not installed.
    """
    check_address(_WORDING.where, base_url, extra_body)
    settings = {"temperature": temperature, "top_p": top_p, length_field: max_new_tokens}
    order = Order(
        model_name=model_name,
        endpoint=endpoint,
        settings={name: value for name, value in settings.items() if value is not None},
        extra_body=extra_body or {},
        seed=seed,
        seeded=seeded,
        n=n,
    )
    server = ServerSettings(
        _WORDING, base_url, api_key_env, endpoint, concurrency, timeout_s, max_attempts
    )
    prices = Prices(price_prompt, price_completion, base_url, model_name)
    sent = [SentPrompt(prompt, _content(prompt.messages, endpoint, model)) for prompt in prompts]
    given = _outside_loops(buy, sent, order, server, prices)
    opened = _reasoning_opened(endpoint, model)
    responses = [
        _responses(prompt, choices, model_name, withheld, opened)
        for prompt, choices in zip(prompts, given, strict=True)
    ]
    if temperature != 0 and n > 1:
        _warn_if_alike(responses, base_url)
    return responses


def check_generate(
    *,
    base_url: str,
    model_name: str,
    extra_body: Mapping[str, Any] | None,
    api_key_env: str | None,
) -> Iterator[str]:
    """Look at the address, and whether the server can be asked, which only a purchase needs.

    Raises:
        ConfigError: The address, or a field of `extra_body`, cannot be used.
    """
    check_address(_WORDING.where, base_url, extra_body)
    yield from no_extra("openai", "openai")
    yield from probed(base_url, model_name, api_key_env)


def _content(
    messages: Sequence[Message], endpoint: str, model: Path | None
) -> dict[str, list[Message] | list[int] | str]:
    """The fields of the request body that hold the prompt."""
    if endpoint == "chat":
        return {"messages": [dict(message) for message in messages]}
    if model:
        from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids

        return {"prompt": prompt_token_ids(load_tokenizer(model), messages)}
    if len(messages) == 1:
        return {"prompt": last_text(messages)}
    raise ConfigError(
        f"The prompt {quoted(last_text(messages))} has {len(messages)} messages, and without a "
        "model nothing says how to write them as one text. Set `policy`, whose chat template "
        "does, or `generation.params.endpoint` to 'chat'."
    )


def _reasoning_opened(endpoint: str, model: Path | None) -> tuple[str, str] | None:
    """The reasoning that prompts open, where it is known how the server's model is prompted."""
    if endpoint == "chat" or model is None:
        return None
    from prefopt_core.models.tokens import load_tokenizer

    return turn_of(load_tokenizer(model)).reasoning


def _responses(
    prompt: Prompt,
    choices: Sequence[ServedResponse],
    writer: str,
    withheld: str,
    opened: tuple[str, str] | None,
) -> list[Response]:
    usable, reasons = [], set()
    for choice in choices:
        reason, text = choice.finish_reason, text_of(choice, opened)
        if text is not None:
            usable.append(Response(text, FINISH_REASONS[reason], writer=writer))
        else:
            reasons.add(reason)
    missing = len(choices) - len(usable)
    if missing and (withheld == "error" or not usable):
        advice = "Remove the prompt"
        if usable:
            advice += "; or leave them out: set `generation.params.withheld` to 'drop'"
        if "length" in reasons:
            advice += "; or, where thinking took all the tokens, raise `max_new_tokens`"
        raise DataError(
            f"{missing} of {len(choices)} responses to the prompt "
            f"{quoted(last_text(prompt.messages))} have no text that could be used (finish "
            f"reason {', '.join(sorted(reasons))}). They are kept and will not be bought again. "
            f"{advice}."
        )
    spend(Spending(withheld=missing))
    return usable


def _warn_if_alike(responses: Sequence[Sequence[Response]], base_url: str) -> None:
    """Warn if all samples of every prompt are equal: the server ignores the temperature."""
    if len(responses) > 1 and all(len({r.text for r in row}) == 1 for row in responses):
        log.warning(
            "%s gave the same response to a prompt each time, for all %d prompts: it does not "
            "sample. See to its settings, or `generation.params.extra_body`.",
            base_url,
            len(responses),
        )


def _outside_loops(function: Any, *arguments: Any) -> Any:
    """Call a function that runs an event loop, in a thread if one is running here (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function(*arguments)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, function, *arguments).result()
