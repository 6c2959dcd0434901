"""Structures that a program wrote into a file as text, and reading them back.

A CSV has no lists: pandas and `datasets` write `[{'role': 'user', 'content': 'Hi'}]`, NumPy leaves
out the commas, polars and we write JSON. A text is read back where it can be nothing else.
"""

import ast
import io
import json
import re
import tokenize
import warnings
from collections.abc import Iterable
from typing import Any

_BEGINS = re.compile(r"\s*(\[|\(|\{|b['\"]|array\()")
_MESSAGES = re.compile(
    r"""["'\s\\]*(\[|array\()[\s\[]*"""
    r"""(\{["'\s\\]*(role|from|content)["'\\]+\s*:|\w+\([\[(]*["']?(role|content)\b)"""
)
"""Of dictionaries, or of objects: `[Message(role=…`, `[OrderedDict([('role', …`."""

_OBJECT = re.compile(
    r"\s*(\w*(Message|Completion|Output)\w*\(\w+=|content=['\"].*_kwargs=)", re.DOTALL
)
"""What libraries return for a response, printed: vLLM's outputs, LangChain's messages, …."""


def parsed(text: str) -> Any:
    r"""What a text stands for if it is JSON or Python's or NumPy's form of a value, else None.

    >>> parsed("[{'role': 'user', 'content': 'Hi'}\n {'role': 'assistant', 'content': None}]")
    [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': None}]
    >>> parsed("['one' 'two']")
    ['one', 'two']
    """
    if not _BEGINS.match(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # of what is no Python, "\\d" for instance
            return ast.literal_eval(_with_commas(text.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError):
        return None


def _with_commas(text: str) -> str:
    """Python's form of what NumPy prints without commas between elements.

    Without them Python would join `'one' 'two'` to one text; no program writes that form.
    """
    parts: list[str] = []
    last = ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = "value" if token.type == tokenize.STRING else token.string
        if last in ("value", "}", "]") and kind in ("value", "{", "["):
            parts.append(",")
        if token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            parts.append(token.string)
            last = kind
    return " ".join(parts)


def looks_like_messages(text: str) -> bool:
    """Whether a text begins as a list of messages does, though it may be cut off or quoted."""
    return bool(_MESSAGES.match(text))


def structure_of(texts: Iterable[object]) -> str:
    """What kind of structure all values of a column are texts of; "" if they are plain texts.

    One text in brackets may be meant; a whole column of them was written by a program. Lists of
    numbers and objects in JSON are what many tasks ask for, and count as texts.

    >>> structure_of(["['Red.', 'Blue.']", "['Yes.']"])
    'lists'
    >>> structure_of(["['Red.', 'Blue.']", "Yes."]), structure_of(["[1, 2]"])
    ('', '')
    """
    kinds = set()
    for text in texts:
        if text is None or text == "":
            continue
        kinds.add(_kind(text) if isinstance(text, str) else "")
        if "" in kinds:
            return ""
    return " and ".join(sorted(kinds))


def _kind(text: str) -> str:
    if text.lstrip().startswith("array("):
        return "arrays"
    if _OBJECT.match(text):
        return "objects"
    match parsed(text):
        case bytes():
            return "bytes"
        case [str() | dict() | bytes(), *_] | (str() | dict() | bytes(), *_):
            return "lists"
        case dict() if not _is_json(text):
            return "dictionaries"
    return ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
