"""Prompts, messages and their ids.

Ids are content digests, so the same text has the same id in every run and on every machine.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from prefopt_core.ground.foreign import cut

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


def pair_id_of(prompt_id: str, chosen_id: str, rejected_id: str) -> str:
    """The id of a pair: two responses to one prompt, and which of them was chosen."""
    return digest_of("pair", prompt_id, chosen_id, rejected_id)


@dataclass(frozen=True)
class Prompt:
    """One prompt to answer."""

    prompt_id: str
    messages: Sequence[Message]


def last_text(messages: Sequence[Message]) -> str:
    """The text of the last message: what the user asks, or the response.

    >>> last_text([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    'Hi'
    """
    return messages[-1]["content"]


def last_content(column: str) -> pl.Expr:
    """`last_text` as a polars expression on a column of messages (`ground.tables.MESSAGES`)."""
    return pl.col(column).list.last().struct.field("content")


def as_texts(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """The rows with a column of messages as texts if each is one message, else as they are."""
    if (rows[column].list.len() == 1).all():
        return rows.with_columns(last_content(column).alias(column))
    return rows


def quoted(value: object) -> str:
    """The beginning of a text in quotation marks, for error messages; "…" says that it goes on.

    >>> quoted("How do I reset my password? " * 9)
    "'How do I reset my password? How do I reset my password? How…'"
    """
    return repr(cut(str(value), 60))
