"""Which columns of a row make its prompt, and the prompt they make.

Besides the prompt's own column these belong to it: `system` (or `system_prompt`), `history` as
LLaMA-Factory writes it, and beside `instruction` Alpaca's `input` or Dolly's `context`.
"""

from typing import Any

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, last_text, quoted
from prefopt_core.inputs.files import Row
from prefopt_core.inputs.known import known_as
from prefopt_core.inputs.messages import is_filled, prompt_messages

PROMPT_COLUMNS = ("prompt", "instruction")
_MATERIAL = {"input", "context"}
"""What an instruction is about; it stands a line below it, as LLaMA-Factory joins them."""
_SYSTEM = {"system", "system_prompt", "system_message"}
_HISTORY = "history"
_NOT_CARRIED = {
    "tools", "functions", "documents", "chat_template_kwargs",
    "image", "images", "video", "videos", "audio", "audios",
}  # fmt: skip
"""What would belong to the prompt, too, but no later stage hands on to the chat template."""
_EMPTY = ("[]", "{}", "<noinput>")  # in a CSV; the last is what self-instruct writes
_MISSING = ("nan", "NaN", "None", "null", "<NA>")


def prompt_column(row: Row, column: str | None) -> str:
    """The name of the column with the prompt: `column` if given, else `prompt` or `instruction`.

    Raises:
        DataError: The row has no such column, or it could be either of two, or it is a response's.
    """
    if column in ("chosen", "rejected"):
        raise DataError(
            f"{row.where}: {column!r} holds responses, or conversations that end with one; it "
            "cannot be the prompt's column. Leave `column` out where the file has no other."
        )
    found = [name for name in ((column,) if column else PROMPT_COLUMNS) if name in row.values]
    if not found:
        wanted = " or ".join(map(repr, (column,) if column else PROMPT_COLUMNS))
        raise DataError(
            f"{row.where}: no column {wanted} among {', '.join(map(repr, row.values))}. "
            f"{known_as(row.values) or 'Set `column`, beside `path`, to the one with the prompt.'}"
        )
    texts = [row.values[name] for name in found if is_filled(row.values[name])]
    if len(texts) > 1 and texts[0] != texts[1]:
        raise DataError(
            f"{row.where} has a 'prompt' and another 'instruction'. Set `column`, beside `path`, "
            "to the one that is the prompt."
        )
    return found[0]


def has_prompt_column(row: Row, column: str | None) -> bool:
    """Whether the row names its prompt, and not only conversations that begin with it."""
    return bool(column) or any(name in row.values for name in PROMPT_COLUMNS)


def columns_of_prompt(columns: list[str], name: str, column: str | None) -> list[str]:
    """Those of a file's columns that belong to the prompt in the column `name`.

    Args:
        columns: All columns.
        name: The prompt's.
        column: The setting; without it `input` and `context` are not left out in silence.
    """
    beside = {*_SYSTEM, _HISTORY}
    if name.lower() == "instruction" or column is None:
        beside |= _MATERIAL
    return [name, *(other for other in columns if other.lower() in beside and other != name)]


def prompt_of(row: Row, column: str | None) -> list[Message]:
    """The prompt of a row, of all columns that belong to it.

    Raises:
        DataError: There is none, or it is malformed, empty, or does not end with a user message;
            or a column beside it may or may not belong to it.
    """
    name = prompt_column(row, column)
    messages = prompt_messages(row.values[name], row.cell(name))
    material = _material(row, name, column)
    if material and last_text(messages).strip():
        whole = f"{last_text(messages)}\n{material}"
        messages = [*messages[:-1], {"role": "user", "content": whole}]
    return complete_prompt(_history(row, name, messages) + messages, row, name)


def _beside(row: Row, name: str, wanted: set[str]) -> list[str]:
    """The filled columns of these names, however spelled, but the prompt's own.

    Raises:
        DataError: One says "nan" or the like, which may be a text or none.
    """
    found = [
        other
        for other, value in row.values.items()
        if other != name and other.lower() in wanted and is_filled(value) and value not in _EMPTY
    ]
    for other in found:
        if row.values[other] in _MISSING:
            raise DataError(
                f"{row.cell(other)} is the text {row.values[other]!r}; a prompt would have it, but "
                "it may stand for a value that is missing. Leave the cell empty, or say it in "
                "other words."
            )
    return found


def _nothing_else(row: Row) -> None:
    if names := _beside(row, "", _NOT_CARRIED):
        raise DataError(
            f"{row.where} has {', '.join(map(repr, names))}, which nothing here could hand on to "
            "the chat template with the prompt. Remove the row, or leave the column out."
        )


def complete_prompt(messages: list[Message], row: Row, name: str = "") -> list[Message]:
    """The messages after the row's system message, if it has one of its own.

    Raises:
        DataError: There are two system messages, the prompt is empty or not the user's, or there
            are tools or images beside it.
    """
    _nothing_else(row)
    system = _system(row, name)
    if system and messages[0]["role"] == "system":
        if messages[0]["content"] != system:
            raise DataError(
                f"{row.where}: the prompt begins with a system message, and a column has another: "
                f"{quoted(system)}. Leave one of them."
            )
    elif system:
        messages = [{"role": "system", "content": system}, *messages]
    if messages[-1]["role"] != "user":
        raise DataError(
            f"{row.where}: the last message is the {messages[-1]['role']}'s; a prompt ends with "
            "the user's."
        )
    if not last_text(messages).strip():
        raise DataError(f"{row.where}: the prompt is empty. Remove the row or fill in the prompt.")
    return messages


def _material(row: Row, name: str, column: str | None) -> str:
    if column and name.lower() != "instruction":
        return ""
    names = _beside(row, name, _MATERIAL)
    if not names:
        return ""
    if name.lower() != "instruction":
        raise DataError(
            f"{row.where}: does {names[0]!r} belong to the prompt? Beside 'instruction' it would, "
            f"beside {name!r} nobody knows. Join them in one column; or, if it does not, set "
            f"`column: {name}` beside `path`."
        )
    values = [row.values[other] for other in names]
    if len(names) > 1 or not isinstance(values[0], str) or not isinstance(row.values[name], str):
        raise DataError(
            f"{row.where}: {' and '.join(map(repr, names))} beside 'instruction' would be the "
            "second part of the prompt, but only one text can follow another. Join them in one "
            "column."
        )
    return values[0]


def _system(row: Row, name: str) -> str:
    names = _beside(row, name, _SYSTEM)
    texts = [row.values[other] for other in names]
    if not all(isinstance(text, str) and text == texts[0] for text in texts):
        raise DataError(
            f"{row.where}: {' and '.join(map(repr, names))} should hold one system message, a "
            f"text, but {quoted(texts[0])} stands there. Make it one, or rename the column if it "
            "is something else."
        )
    return texts[0] if texts else ""


def _history(row: Row, name: str, prompt: list[Message]) -> list[Message]:
    """The turns before a prompt: pairs of what the user and the assistant said."""
    found = _beside(row, name, {_HISTORY})
    if not found:
        return []
    turns: Any = row.values[found[0]]
    if len(prompt) > 1 or not isinstance(turns, list) or not all(map(_is_turn, turns)):
        raise DataError(
            f"{row.cell(found[0])} is {quoted(turns)}; expected the turns before a prompt of one "
            "text as a list of [what the user said, what the assistant said]. Write them so, or "
            "rename the column if it is something else."
        )
    roles = ("user", "assistant")
    return [{"role": r, "content": t} for turn in turns for r, t in zip(roles, turn, strict=True)]


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, list) and len(turn) == 2 and all(isinstance(t, str) for t in turn)
