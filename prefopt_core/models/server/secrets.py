"""Keys of servers: named by their environment variable, refused elsewhere, masked in what is told.

A server has the key that it is sent, so no mask keeps one that means harm from showing it in a form
of its own; masked is what echoes do, and what makes an echo less plain.
"""

import base64
import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import AfterValidator, Field

from prefopt_core.ground.errors import ConfigError

KeyVariable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=60)]
"""Name of the environment variable that holds the key, never the key itself."""

_RUN = 8
"""So many characters of a key in a row are masked; fewer are what many keys have in common."""

_NAMES = re.compile(
    r"(^|_)((api|access|secret|private|subscription)_?key|(client_?)?secret|password|passwd"
    r"|authorization|auth|bearer|credentials?|(access|auth|api|bearer|refresh|session)_?token)$"
    r"|^(key|token)$"
)
_VALUES = re.compile(
    r"\b(sk-[\w-]{16,}|hf_\w{16,}|gh[a-z]_\w{20,}|AKIA[0-9A-Z]{16}|xox[a-z]-[\w-]{10,})"
    r"|\bBearer +[\w+/=.-]{16,}"
)
"""Forms of the keys of well-known services."""


def key_in(variable: str | None) -> str:
    """The key in an environment variable; "" if none is named or it is not set.

    Raises:
        ConfigError: It has signs that no key has, such as the line break of a file of two keys.
    """
    key = os.environ.get(variable or "", "").strip()
    if re.fullmatch(r"[!-~]*", key):
        return key
    found = "a line break" if len(key.splitlines()) > 1 else "a space, or a sign that is not ASCII"
    raise ConfigError(
        f"The key in the environment variable {variable} has {found} in it, so it cannot be sent. "
        "Put the key alone into it."
    )


def masked(text: str, key: str) -> str:
    """A text of a server's without the key that it was sent, nor most of one.

    Masked are runs of eight of its characters, forwards and backwards, also in base64, in hex and
    percent-encoded.

    >>> masked("Wrong key: 'abc-123456', or 654321-cba", "abc-123456")
    "Wrong key: '…', or …"
    """
    if not key:
        return text
    length = min(_RUN, len(key))
    runs = {run for form in _forms(key) for run in _runs(form.lower(), length)}
    lower = text.lower() if len(text.lower()) == len(text) else text
    hidden = bytearray(len(text))
    for start, run in enumerate(_runs(lower, length)):
        if run in runs:
            hidden[start : start + length] = b"\x01" * length
    shown = (("…" if hidden[i] else c) for i, c in enumerate(text))
    return re.sub("…{2,}", "…", "".join(shown)) if any(hidden) else text


def _forms(key: str) -> Iterator[str]:
    for form in (key, key[::-1]):
        raw = form.encode()
        yield from (form, raw.hex(), quote(form, safe=""))
        for before in range(3):  # bytes; letters that hold some of a neighbour are left out
            letters = base64.b64encode(bytes(before) + raw).decode()
            yield letters[(4 * before + 2) // 3 : 8 * (before + len(raw)) // 6]


def _runs(text: str, length: int) -> Iterator[str]:
    yield from (text[i : i + length] for i in range(len(text) - length + 1))


def _refuse_in_body(body: dict[str, Any] | None) -> dict[str, Any] | None:
    for place, value in _texts(body or {}, ""):
        _refuse(place.rpartition(".")[2], value, f"{place} holds")
    return body


def _refuse_in_address(address: str) -> str:
    try:
        url = urlsplit(address)
        fields = parse_qsl(url.query)
    except ValueError:
        return address  # told by who looks whether it is one
    if url.username or url.password:
        raise ValueError(f"it has a user or a password in it. {_INSTEAD}")
    for name, value in fields:
        _refuse(name, value, f"its {name} is")
    return address


_INSTEAD = (
    "Settings are kept with the results and shown: put the key into an environment variable, and "
    "its name into `api_key_env`"
)


def _refuse(name: str, value: str, told: str) -> None:
    if value and (_NAMES.search(name.lower().replace("-", "_")) or _VALUES.search(value)):
        raise ValueError(f"{told} what looks like a secret. {_INSTEAD}")


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every text in a structure, with the names that lead to it."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, place)


Address = Annotated[str, AfterValidator(_refuse_in_address)]
"""A server's address, without a key in it."""

ExtraBody = Annotated[dict[str, Any] | None, AfterValidator(_refuse_in_body)]
"""Further fields of requests, without a key in them."""
