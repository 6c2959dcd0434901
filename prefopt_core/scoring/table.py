"""Scoring, table in, table out: log-probabilities of responses under a model.

SPA's judge needs them, and DPO those of its reference model.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.labels.asked import Asked
from prefopt_core.models.positions import refuse_longer
from prefopt_core.models.tokenised import sequences_of, with_token_ids
from prefopt_core.models.tokens import Tokens
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

    Raises:
        DataError: A prompt and its response are longer than the model.
    """
    refuse_longer(
        [len(prompt) + len(response) for prompt, response in sequences],
        model,
        "prompts with their response",
        "Leave those out, or lower `generation.params.max_new_tokens`.",
    )
    return config.member()(model, sequences)


def score_candidates(
    asked: Asked[pl.DataFrame], model: Path, config: ScoringConfig
) -> pl.DataFrame:
    """Log-probabilities of the selected responses under the model in a folder.

    Args:
        asked: Tables `prompts`, `candidates` and `selections`. Responses without token ids are
            tokenised for the model.
        model: Model folder.
        config: Which scorer, and its settings.

    Returns:
        Table `logps`, a row for each distinct one, in the order of the candidates.
    """
    distinct = asked.candidates.unique("candidate_id", keep="first", maintain_order=True)
    selected = asked.selections.select("candidate_id")
    wanted = distinct.join(selected, "candidate_id", how="semi", maintain_order="left")
    sequences = sequences_of(wanted, asked.prompts, model)
    logps = pl.Series(sequence_logps(model, sequences, config), dtype=pl.Float64)
    return wanted.select("candidate_id").with_columns(logps=logps)


def score_preferences(
    preferences: Sequence[pl.DataFrame], model: Path, config: ScoringConfig
) -> pl.DataFrame:
    """Give gold pairs the log-probabilities under `model`, the reference model of their next use.

    Self-labelled pairs are left out: they are the judgment of an earlier policy.

    Args:
        preferences: Tables `preferences`.
        model: Model folder.
        config: Which scorer, and its settings.

    Returns:
        Table `preferences` of the gold pairs of all, with token ids, and `ref_chosen_logps` and
        `ref_rejected_logps` under `model`.
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
