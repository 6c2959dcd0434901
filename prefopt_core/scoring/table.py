"""Scoring, table in, table out: for SPA's judge, DPO's reference, the perplexity strategy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.ground.tables import Message
from prefopt_core.models.tokens import load_tokenizer, prompt_ids, response_ids, template_digest
from prefopt_core.scoring import SCORERS, Tokens
from prefopt_core.scoring.settings import ScoringConfig


def sequence_logps(
    model: Path, sequences: Sequence[tuple[Tokens, Tokens]], config: ScoringConfig
) -> npt.NDArray[np.float64]:
    """Sum log π(y|x) over the response tokens, end-of-sequence included, not length-normalised.

    Args:
        model: Model folder.
        sequences: n (prompt token ids, response token ids).
        config: Which scorer, and its settings.

    Returns:
        (n,) sums, in nats.
    """
    return SCORERS[config.scorer](model, sequences, **config.params)


def score_candidates(
    selections: pl.DataFrame,
    candidates: pl.DataFrame,
    prompts: pl.DataFrame,
    model: Path,
    config: ScoringConfig,
) -> pl.DataFrame:
    """Score the selected responses under `model`; the `logps` table out."""
    wanted = candidates.unique("candidate_id", keep="first", maintain_order=True).join(
        selections.select("candidate_id"), "candidate_id", how="semi", maintain_order="left"
    )
    rows = wanted.join(prompts, "prompt_id", maintain_order="left")
    sequences = []
    for row in rows.iter_rows(named=True):
        if row["response_token_ids"] is not None:
            sequences.append((row["prompt_token_ids"], row["response_token_ids"]))
        else:
            finished = row["finish_reason"] != "length"
            sequences.append(tokenised(model, row["prompt"], row["response"], finished=finished))
    logps = pl.Series(sequence_logps(model, sequences, config), dtype=pl.Float64)
    return rows.select("candidate_id").with_columns(logps=logps)


def score_preferences(
    preferences: Sequence[pl.DataFrame], model: Path, config: ScoringConfig
) -> pl.DataFrame:
    """Put the log-probabilities under `model` into gold pairs: DPO's reference for their next use.

    Self-labelled pairs are left out: they were one policy's opinion, and that policy is gone.
    """
    gold = [table.filter(pl.col("source") == "gold") for table in preferences]
    pairs = pl.concat([with_token_ids(table, model) for table in gold], how="diagonal")
    sequences = [
        (row["prompt_token_ids"], row[f"{side}_token_ids"])
        for side in ("chosen", "rejected")
        for row in pairs.iter_rows(named=True)
    ]
    chosen, rejected = np.split(sequence_logps(model, sequences, config), 2)
    return pairs.with_columns(
        ref_chosen_logps=pl.Series(chosen), ref_rejected_logps=pl.Series(rejected)
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
