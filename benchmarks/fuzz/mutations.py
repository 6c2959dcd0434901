"""Mutations of a good input: of its bytes, of its tokens, of the values in its JSON."""

import json
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from random import Random
from typing import Any

TOKENS = [
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"1" * 400, b"9223372036854775808", b"0x10", b"1_0"),
    *(b"null", b"true", b'""', b"[]", b"{}", b'{"a":', b'"', b"'", b",", b":", b"\n", b"\r", b"\t"),
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b"\xed\xa0\x80", b"\xe2\x80\xae"),
    *(b"!!python/object/apply:os.abort []", b"&a [*a]", b"*a", b"<<: *b", b"? ", b"%YAML 9", b"- "),
    *(b"---\n", b"...", b"=1+1", b"\x1b[31m", b"<script>", b"../../../etc/passwd", b"%s{0}{{x}}"),
    *(b"PAR1", b"PK\x03\x04", b"\x80\x04.", b"2026-02-30", b"1:30", b"012"),
    *(b"[" * 1500, b"{" * 300),
    *(
        b"[" * 1500,
        b"{" * 300,
        b'{"a":' * 1200,
        b"- " * 600,
        b"x" * 8000,
        b"\n" * 1500,
        b"," * 1500,
    ),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1e308, 2**64, -(2**31), 0.5, "", "x", "NaN", "\ud800", "\x00"),
    *([], {}, [[]], [None], {"": ""}, "y" * 5000, list(range(300)), float("nan"), float("inf")),
    *({"role": "user", "content": ""}, ["a", "b"], "1", "http://me:x@y/", "a\nb", [{"a": [1]}]),
]


def mutated(seeds: Sequence[bytes], random: Random) -> bytes:
    """One of the seeds, changed in one to six places."""
    data = random.choice(seeds)
    if random.random() < 0.4:
        with suppress(ValueError, RecursionError):
            data = _other_values(data, random)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 6))):
        data = random.choice(_CHANGES)(data, seeds, random)
    return data[:200_000]


def _other_values(data: bytes, random: Random) -> bytes:
    """The same JSON, or JSON lines, with values replaced, dropped, doubled or swapped."""
    lines = [json.loads(line) for line in ([data] if data[:1] in b"[" else data.splitlines())]
    for _ in range(random.choice((1, 1, 2, 4))):
        places = [*_places(lines, [])]
        holder, key = random.choice(places)
        other, name = random.choice(places)
        how = random.random()
        if how < 0.5:
            holder[key] = deepcopy(random.choice(VALUES))
        elif how < 0.65:
            del holder[key]
        elif how < 0.8 and isinstance(holder, dict):
            holder[str(key) + random.choice(("", "_", "x"))] = deepcopy(random.choice(VALUES))
        elif isinstance(holder, list):
            holder.insert(int(key), holder[key])
        else:
            holder[key] = json.loads(json.dumps(other[name]))
        lines = lines or [{}]
    ascii_only = random.random() < 0.7
    text = "\n".join(json.dumps(line, ensure_ascii=ascii_only) for line in lines)
    return text.encode("utf-8", "surrogatepass")


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        found.append((value, key))
        if isinstance(item, dict | list):
            _places(item, found)
    return found


def _flip(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + bytes([random.randrange(256)]) + data[place + 1 :]


def _bit(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    place = random.randrange(len(data) + 1)
    changed = bytes(byte ^ (1 << random.randrange(8)) for byte in data[place : place + 1])
    return data[:place] + changed + data[place + 1 :]


def _insert(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + random.choice(TOKENS) + data[place:]


def _replace(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + random.choice(TOKENS) + data[min(end, start + 30) :]


def _cut(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return data[:end] if random.random() < 0.4 else data[:start] + data[end:]


def _repeat(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 20)) + data[end:]


def _splice(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(seeds)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


_CHANGES = (_flip, _bit, _insert, _insert, _replace, _replace, _cut, _repeat, _splice)
