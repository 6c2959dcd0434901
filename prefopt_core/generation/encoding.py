"""Prompts to token ids, token ids to responses, and their ends: for transformers and vLLM."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefopt_core.generation import Response
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.ids import Prompt, last_text, quoted
from prefopt_core.ground.spending import Spending, spend
from prefopt_core.models.fitness import config_in, generation_config_in
from prefopt_core.models.responses import control_tokens_amid, response_text, text_end
from prefopt_core.models.templates import turn_of
from prefopt_core.models.tokens import Tokens, prompt_token_ids, template_digest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

MANY = 0.01
"""Control tokens amid responses, per response, above which to warn."""
_STORED = re.compile("[0-9a-f]{64}")
"""Name of a folder in the store."""


def model_for(generator: str, model: Path | None) -> Path:
    """The policy's folder.

    Raises:
        ConfigError: There is none, and `generator` needs it.
    """
    if model is None:
        raise ConfigError(f"Generator {generator!r} needs a model: set `policy`.")
    return model


def encode(
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    limit: int | None,
    lift: str = "",
) -> list[list[int]]:
    """Token ids of the prompts, by the chat template.

    Args:
        tokenizer: Of the model.
        prompts: The prompts.
        max_new_tokens: The most tokens of a response.
        limit: Positions of the model: the most tokens of a prompt and its response; None: any.
        lift: Name of the setting that raises the limit, if there is one.

    Raises:
        ConfigError: A prompt and its response do not fit the limit.
        DataError: The chat template does not take a prompt's roles.
    """
    if "strftime_now" in str(tokenizer.get_chat_template()):
        _warn(
            tokenizer,
            "its chat template writes today's date into prompts, so those of another day are "
            "others. Set `policy.params.chat_template` to a Jinja file with a fixed date.",
        )
    encoded = [prompt_token_ids(tokenizer, prompt.messages) for prompt in prompts]
    longest = max(range(len(encoded)), key=lambda i: len(encoded[i]), default=None)
    if limit and longest is not None and len(encoded[longest]) + max_new_tokens > limit:
        raised = f"Raise `{lift}`, lower" if lift else "Lower"
        raise ConfigError(
            f"A prompt of {len(encoded[longest])} tokens and {max_new_tokens} new ones do "
            f"not fit the model's {limit} positions. "
            f"{raised} `generation.params.max_new_tokens` or "
            f"drop the prompt {quoted(last_text(prompts[longest].messages))}."
        )
    return encoded


def end_tokens(tokenizer: "PreTrainedTokenizerBase", generation_config: Any) -> set[int]:
    """The tokens that end a response: those that the model's files list, and its template's.

    Listed are the tokenizer's EOS and those of generation_config.json. Where the template ends
    turns with another token, the model would write that and go on with the next speaker's turn.

    Args:
        tokenizer: Of the model.
        generation_config: Its transformers `GenerationConfig`, or None.
    """
    listed = getattr(generation_config, "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(listed if isinstance(listed, list) else [listed])} - {None}
    names = turn_of(tokenizer).ends
    of_turns: Any = tokenizer.convert_tokens_to_ids(list(names))
    unlisted = [name for name, end in zip(names, of_turns, strict=True) if end not in ends]
    if unlisted:
        _warn(
            tokenizer,
            f"its chat template ends turns with {' and '.join(unlisted)}, which is neither the "
            "tokenizer's eos_token nor in generation_config.json. Responses end there; list it in "
            "generation_config.json, or a server of this model writes on.",
        )
    if not names and turn_of(tokenizer).lead is not None:
        text = turn_of(tokenizer).trail.strip()
        _warn(
            tokenizer,
            "its chat template ends turns with "
            f"{f'the text {text!r}, which is no token' if text else 'no token'}: responses end "
            f"{'behind that text, or ' if text else ''}where the model writes "
            f"{tokenizer.eos_token}, else go on with the next speaker's turn. Look at some "
            "(`prefopt show generate`).",
        )
    return ends | set(of_turns)


def ids_without_text(tokenizer: "PreTrainedTokenizerBase", size: int) -> tuple[int, ...]:
    """Ids of a model's `size` embeddings that are no token: rows that round its matrix up.

    Sampled, they would be trained and stand in no text that an annotator sees.
    """
    return tuple(sorted(set(range(size)) - set(tokenizer.get_vocab().values())))


def said(
    tokenizer: "PreTrainedTokenizerBase",
    prompt: Tokens,
    response: Tokens,
    finish_reason: Literal["stop", "length"],
    logps: "npt.NDArray[np.float64] | float",
) -> Response | None:
    """A sampled response; None if it is cut off within its reasoning, before an answer.

    Args:
        tokenizer: Of the model that wrote it.
        prompt: Token ids of its prompt.
        response: Its own, up to a token that ends responses, if there is one.
        finish_reason: Whether there is.
        logps: Of each token at temperature 1, or their sum; of a sum there is no part to take.
    """
    end = text_end(tokenizer, prompt, response)
    ids = response if end is None else response[:end]
    text = response_text(
        tokenizer,
        prompt,
        ids,
        finished=finish_reason == "stop" and end is None,
        spelt=end is not None,
    )
    if text is None:
        return None
    total = logps if isinstance(logps, float) else float(logps[: len(ids)].sum())
    return Response(
        text=text,
        finish_reason=finish_reason if end is None else "stop",
        prompt_token_ids=prompt,
        token_ids=ids,
        logps=None if end is not None and isinstance(logps, float) else total,
        template=template_digest(tokenizer),
    )


def answered(
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Prompt],
    written: Sequence[Sequence[Response | None]],
    withheld: str,
) -> list[list[Response]]:
    """The responses that have an answer; the others end the run, or are left out and counted.

    Raises:
        DataError: There are some without, and `withheld` is "error"; or a prompt has no others.
    """
    for prompt, row in zip(prompts, written, strict=True):
        missing = sum(response is None for response in row)
        if missing and (withheld == "error" or missing == len(row)):
            advice = "Raise `generation.params.max_new_tokens`"
            if missing < len(row):
                advice += "; or leave them out: set `generation.params.withheld` to 'drop'"
            raise DataError(
                f"{missing} of {len(row)} responses to the prompt "
                f"{quoted(last_text(prompt.messages))} are cut off within the model's reasoning, "
                f"before an answer. {advice}."
            )
        spend(Spending(withheld=missing))
    responses = [[response for response in row if response] for row in written]
    _tell_of_control_tokens(tokenizer, [response for row in responses for response in row])
    return responses


def _tell_of_control_tokens(
    tokenizer: "PreTrainedTokenizerBase", responses: Sequence[Response]
) -> None:
    names: Counter[str] = Counter()
    for response in responses:
        finished = response.finish_reason == "stop"
        names.update(control_tokens_amid(tokenizer, response.token_ids or (), finished=finished))
    if names.total() > MANY * len(responses):
        usual = ", ".join(sorted(name for name, _ in names.most_common(3)))
        _warn(
            tokenizer,
            f"it writes {usual} amid its responses. "
            "Annotators see the texts without; training has all. A token that ends turns belongs "
            "into generation_config.json, as eos_token_id.",
        )


def _warn(tokenizer: "PreTrainedTokenizerBase", what: str) -> None:
    folder = Path(tokenizer.name_or_path).name
    # Those of all rounds in the store are told of as one: what they share is said once.
    _log_once("the policy" if _STORED.fullmatch(folder) else folder, what)


@lru_cache(maxsize=64)
def _log_once(model: str, what: str) -> None:
    log.warning("%s: %s", model, what)


def generation_config_of(folder: Path) -> Any:
    """The `GenerationConfig` that the model of a folder would have, without loading its weights."""
    from transformers import GenerationConfig

    return generation_config_in(folder) or GenerationConfig.from_model_config(config_in(folder))
