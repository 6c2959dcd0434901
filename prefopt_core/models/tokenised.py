"""Texts as token ids of one model, where a response was not sampled with its ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.ground.ids import Message
from prefopt_core.models.tokens import (
    Tokens,
    load_tokenizer,
    prompt_ids,
    response_ids,
    template_digest,
)


def with_token_ids(preferences: pl.DataFrame, model: Path) -> pl.DataFrame:
    """Add the token ids to pairs that came as text; those that were sampled keep theirs."""
    if "prompt_token_ids" in preferences.columns:
        return preferences
    rows = list(preferences.iter_rows(named=True))
    chosen, rejected = (_side(model, rows, side) for side in ("chosen", "rejected"))
    kind = pl.List(pl.Int32)
    return preferences.with_columns(
        prompt_token_ids=pl.Series([prompt for prompt, _ in chosen], dtype=kind),
        chosen_token_ids=pl.Series([response for _, response in chosen], dtype=kind),
        rejected_token_ids=pl.Series([response for _, response in rejected], dtype=kind),
        template=pl.lit(template_digest(load_tokenizer(model))),
    )


def _side(model: Path, rows: Sequence[dict[str, Any]], side: str) -> list[tuple[Tokens, Tokens]]:
    return [
        tokenised(
            model,
            row["prompt"],
            row[side][-1]["content"],
            finished=row.get(f"{side}_finished") is not False,
        )
        for row in rows
    ]


def tokenised(
    model: Path, prompt: Sequence[Message], response: str, *, finished: bool = True
) -> tuple[list[int], list[int]]:
    """(prompt, response) token ids of texts, by the tokenizer of `model`.

    A response that was cut off (not `finished`) gets no end-of-sequence token: nobody wrote one.
    """
    tokenizer = load_tokenizer(model)
    return prompt_ids(tokenizer, prompt), response_ids(tokenizer, response, finished=finished)
