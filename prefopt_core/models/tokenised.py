"""Tokenising prompts and responses that came as text, without token ids from sampling."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.ground.ids import Message, last_text
from prefopt_core.models.responses import turn_token_ids
from prefopt_core.models.tokens import Tokens, load_tokenizer, template_digest


def with_token_ids(preferences: pl.DataFrame, model: Path) -> pl.DataFrame:
    """Add token ids to preference pairs that have none; pairs with token ids stay as they are.

    Args:
        preferences: Table `preferences`.
        model: Folder of the model whose tokenizer and chat template are used.

    Returns:
        Table `preferences` with prompt_token_ids, chosen_token_ids, rejected_token_ids, template.

    Raises:
        ConfigError: The model has no usable tokenizer.
        DataError: The chat template does not take a prompt's roles, or does not write a response
            behind its prompt.
    """
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
            last_text(row[side]),
            finished=row.get(f"{side}_finished") is not False,
        )
        for row in rows
    ]


def sequences_of(
    candidates: pl.DataFrame, prompts: pl.DataFrame, model: Path
) -> list[tuple[Tokens, Tokens]]:
    """(prompt, response) token ids of responses, as they were sampled; of texts as `tokenised`.

    Args:
        candidates: Table `candidates`.
        prompts: Table `prompts`, with all prompts of these.
        model: Folder of the model that is to read them.

    Raises:
        ConfigError: The model has no usable tokenizer.
        DataError: See `tokenised`.
    """
    rows = candidates.join(prompts, "prompt_id", maintain_order="left").iter_rows(named=True)
    return [
        (row["prompt_token_ids"], row["response_token_ids"])
        if row["response_token_ids"] is not None
        else tokenised(
            model, row["prompt"], row["response"], finished=row["finish_reason"] != "length"
        )
        for row in rows
    ]


def tokenised(
    model: Path, prompt: Sequence[Message], response: str, *, finished: bool = True
) -> tuple[list[int], list[int]]:
    """(prompt, response) token ids of texts, by the tokenizer of `model`.

    A response that was cut off (not `finished`) gets no end-of-turn token.

    Raises:
        ConfigError: The model has no usable tokenizer.
        DataError: The chat template does not take the prompt's roles, or does not write the
            response behind the prompt.
    """
    return turn_token_ids(load_tokenizer(model), prompt, response, finished=finished)
