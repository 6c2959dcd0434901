"""Reading docstrings: the explanation of each argument, for the reference of settings."""

import inspect
import re
from collections.abc import Callable
from typing import Any, get_args


def arguments_of(function: Callable[..., Any]) -> dict[str, str]:
    """Name → text of what a docstring says of arguments, or of attributes, also of spread ones."""
    said: dict[str, str] = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        for kind in get_args(parameter.annotation):
            if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
                said |= arguments_of(kind)
    doc = inspect.getdoc(function) or ""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ ]+.*\n?|\n(?=[ ]))+)", doc, re.MULTILINE)
    entries = re.findall(r"^    (\w+): ((?:.+\n?(?:     +.*\n?)*))", section[1] if section else "",
                         re.MULTILINE)  # fmt: skip
    return said | {name: " ".join(text.split()) for name, text in entries}


def text_before_sections(function: Callable[..., Any]) -> str:
    """A docstring up to where it lists arguments."""
    return re.split(r"^\w+:$", inspect.getdoc(function) or "", maxsplit=1, flags=re.MULTILINE)[0]
