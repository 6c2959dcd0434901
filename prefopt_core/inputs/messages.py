"""Messages in a cell of a user's file: read whole, or refused with what they carry.

A prompt is a list of {role, content}. Whatever else a message carries (calls of tools, names,
images, weights) is not kept by any later stage, so a row that has it is refused, not cut.
"""

import re
from typing import Any

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, quoted
from prefopt_core.inputs.structures import looks_like_messages, parsed

ROLES = ("system", "user", "assistant")
_SHAREGPT = {"human": "user", "gpt": "assistant"} | {role: role for role in ROLES}
_TURN = re.compile(r"\n\n(Human|Assistant):")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}
_MARKS = {
    re.compile(r"\s*Human:.*\n\nAssistant:", re.DOTALL): "'Human:' and 'Assistant:'",
    re.compile(r".*<extra_id_1>(User|Assistant)\n", re.DOTALL): "'<extra_id_1>'",
}


def is_filled(value: Any) -> bool:
    """Whether a value says something: not None, NaN, blank, or an empty list or object."""
    if isinstance(value, str):
        return bool(value.strip())
    return value is not None and value == value and value not in ([], {})


def conversation(value: Any, cell: str) -> list[Message] | None:
    """The messages of a value, or of a text of them; None for any other text.

    Args:
        value: What stands in the cell.
        cell: File, row and column, for error messages.

    Raises:
        DataError: It is neither a text nor messages, or a message carries more than role and text.
    """
    if isinstance(value, str):
        meant = parsed(value)
        if not _has_messages(meant):
            if looks_like_messages(value) or _holds_messages(meant):
                raise DataError(
                    f"{cell} is {quoted(value)}, a list of messages as text that cannot be read "
                    "back. Write the messages alone, as JSON, or as a list in .jsonl or .parquet."
                )
            return None
        value = meant
    messages = [value] if isinstance(value, dict) else value
    if not isinstance(messages, list) or not messages:
        raise _no_messages(value, cell)
    return [_message(m, f"message {i}", value, cell) for i, m in enumerate(messages, 1)]


def prompt_messages(value: Any, cell: str) -> list[Message]:
    """The messages of a prompt; a plain text becomes one user message.

    Raises:
        DataError: It is neither a text nor messages, or marks turns within one text.
    """
    text = "" if value is None else value
    if messages := conversation(text, cell):
        return messages
    for pattern, marks in _MARKS.items():
        if pattern.match(text):
            raise DataError(
                f"{cell} is {quoted(text)}: turns of a dialogue in one text, marked by {marks}. "
                "Write them as a list of {role, content}; the chat template sets its own marks."
            )
    return [{"role": "user", "content": text}]


def dialogue(text: str, cell: str) -> list[Message] | None:
    r"""The turns of a text as HH-RLHF writes them; None if it is none.

    >>> dialogue("\n\nHuman: Hi\n\nAssistant: Ho", "row 1")
    [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Ho'}]

    Raises:
        DataError: It begins as such a text does, but somebody speaks twice or says nothing.
    """
    before, *turns = _TURN.split(f"\n\n{text.lstrip()}")
    if before or not turns or turns[0] != "Human" or "Assistant" not in turns[::2]:
        return None
    said = [part.strip() for part in turns[1::2]]
    if turns[::2] != (["Human", "Assistant"] * len(said))[: len(said)] or not all(said):
        raise DataError(
            f"{cell} is {quoted(text)}: in a dialogue 'Human:' and 'Assistant:' take turns, and "
            "each says something. Mend or remove the row."
        )
    return [
        {"role": _SPEAKERS[who], "content": part}
        for who, part in zip(turns[::2], said, strict=True)
    ]


def _has_messages(value: Any) -> bool:
    """Whether it is a message or a list of them, of whatever form and however odd."""
    values = value if isinstance(value, list) and value else [value]
    return all(
        isinstance(v, dict) and ({"role", "content"} <= v.keys() or {"from", "value"} <= v.keys())
        for v in values
    )


def _holds_messages(value: Any) -> bool:
    """Whether messages stand in an object beside something else, such as tools."""
    lists = [v for v in value.values() if isinstance(v, list)] if isinstance(value, dict) else []
    return any(v and _has_messages(v) for v in lists)


def _message(message: Any, which: str, value: Any, cell: str) -> Message:
    if not isinstance(message, dict):
        raise _no_messages(value, cell)
    carried = {name: v for name, v in message.items() if v is not None and v not in ("", [], {})}
    speaker, said, roles = "role", "content", {role: role for role in ROLES}
    if "from" in carried:
        speaker, said, roles = "from", "value", _SHAREGPT
    if speaker not in carried:
        raise _no_messages(value, cell)
    if more := sorted(carried.keys() - {speaker, said}):
        raise _no_messages(
            value,
            cell,
            f"{which} carries {', '.join(map(repr, more))}, which nothing here could hand on to "
            "the chat template. Remove the row, or what it carries",
        )
    role, content = carried[speaker], _text(message.get(said))
    if not isinstance(role, str) or role not in roles:
        raise _no_messages(value, cell, f"{which} has the role {role!r}")
    if content is None:
        raise _no_messages(value, cell, f"{which} has no text but {quoted(message.get(said))}")
    return {"role": roles[role], "content": content}


def _text(content: Any) -> str | None:
    """The text of a message's content: itself, or that of its only part."""
    match content:
        case [{"type": "text", "text": str(text), **more}]:
            return None if any(map(is_filled, more.values())) else text
    return content if isinstance(content, str) else None


def _no_messages(value: Any, cell: str, why: str = "") -> DataError:
    return DataError(
        f"{cell} is {quoted(value)}; expected a text or a list of "
        f"{{role: {' | '.join(ROLES)}, content: text}}{f': {why}' if why else ''}."
    )
