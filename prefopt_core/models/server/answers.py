"""What a server's answer says: its text without the model's reasoning, and how it ended."""

import re
from collections.abc import Mapping
from typing import Literal

from prefopt_core.models.responses import without_reasoning
from prefopt_core.models.server.kept import ServedResponse
from prefopt_core.models.templates import REASONING

FINISH_REASONS: Mapping[str, Literal["stop", "length"]] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length"), "length"),
}
"""A server's finish reason → ours. Others (content filter, tool call) have no usable response."""


def text_of(answer: ServedResponse, opened: tuple[str, str] | None = None) -> str | None:
    """The usable text of an answer; None if it has none.

    Args:
        answer: What was served.
        opened: What opens and closes the model's reasoning, if the prompt has opened it.
    """
    ended = FINISH_REASONS.get(answer.finish_reason)
    if answer.text is None or ended is None:
        return None
    text = without_reasoning(answer.text, opened or _closed_in(answer.text))
    # cut off before its first word it is none
    return None if text == "" and ended == "length" else text


def _closed_in(text: str) -> tuple[str, str] | None:
    """The reasoning that a text ends without having begun it: the prompt did, on the server.

    The mark ends its line; amid one a response only speaks of it.
    """
    ended = (
        pair
        for pair in REASONING
        if pair[0] not in text and re.search(rf"{re.escape(pair[1])}[ \t]*(\n|$)", text)
    )
    return next(ended, None)
