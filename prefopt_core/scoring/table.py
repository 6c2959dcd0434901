"""Scoring, table in, table out: for SPA's judge, DPO's reference, the perplexity strategy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.labels.asked import Asked
from prefopt_core.models.tokenised import tokenised, with_token_ids
from prefopt_core.models.tokens import (
    Tokens,
)
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
    return config.member()(model, sequences)


def score_candidates(
    asked: Asked[pl.DataFrame], model: Path, config: ScoringConfig
) -> pl.DataFrame:
    """Score the selected responses under the model in a folder.

    Returns:
        Table `logps`, a row for each distinct one, in the order of the candidates.
    """
    distinct = asked.candidates.unique("candidate_id", keep="first", maintain_order=True)
    selected = asked.selections.select("candidate_id")
    wanted = distinct.join(selected, "candidate_id", how="semi", maintain_order="left")
    rows = wanted.join(asked.prompts, "prompt_id", maintain_order="left")
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
