"""Ids: content digests, so the same text has the same id in every run and on every machine."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

Message = dict[str, str]
"""`{"role": "user" | "assistant" | "system", "content": text}`."""


def digest_of(*parts: str) -> str:
    """A 24-digit hexadecimal digest of texts; where one ends and the next begins counts.

    >>> digest_of("ab", "c") == digest_of("a", "bc")
    False
    """
    text = json.dumps(parts, ensure_ascii=False)
    # surrogatepass: a lone surrogate is a legal Python string and must still have an id
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def prompt_id_of(prompt: Sequence[Message]) -> str:
    """The id of a prompt: a digest of the roles and texts of its messages."""
    return digest_of("prompt", *(part for m in prompt for part in (m["role"], m["content"])))


def candidate_id_of(prompt_id: str, response: str) -> str:
    """The id of a response to one prompt."""
    return digest_of("candidate", prompt_id, response)


@dataclass(frozen=True)
class Prompt:
    """One prompt to answer."""

    prompt_id: str
    messages: Sequence[Message]
