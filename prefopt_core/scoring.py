"""Log-probabilities of given responses under a model: for SPA's judge and DPO's reference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.config import ScoringConfig
from prefopt_core.models import load_model
from prefopt_core.progress import report
from prefopt_core.tables import Message
from prefopt_core.threads import threads_for
from prefopt_core.tokens import load_tokenizer, prompt_ids, response_ids, template_digest

Tokens = Sequence[int]


def sequence_logps(
    model: Path, sequences: Sequence[tuple[Tokens, Tokens]], config: ScoringConfig
) -> npt.NDArray[np.float64]:
    """Sum log π(y|x) over the response tokens, end-of-sequence included, not length-normalised.

    Args:
        model: Model folder.
        sequences: n (prompt token ids, response token ids).
        config: Batch size (sequences a forward pass) and device.

    Returns:
        (n,) sums, in nats.
    """
    network = load_model(model, config.device)
    # Like lengths together, so that little of a batch is padding; longest first, so that a batch
    # that does not fit into memory fails at once.
    order = sorted(
        range(len(sequences)), key=lambda i: -len(sequences[i][0]) - len(sequences[i][1])
    )
    sums = np.zeros(len(sequences))
    for start in range(0, len(order), config.batch_size):
        batch = order[start : start + config.batch_size]
        sums[batch] = _batch_logps(network, [sequences[i] for i in batch])
        report(min(start + config.batch_size, len(order)), len(order))
    return sums


def _batch_logps(network, batch: Sequence[tuple[Tokens, Tokens]]) -> npt.NDArray[np.float64]:  # type: ignore[no-untyped-def]
    import torch

    width = max(len(prompt) + len(response) for prompt, response in batch)
    input_ids = torch.zeros((len(batch), width), dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    is_response = torch.zeros_like(input_ids, dtype=torch.bool)
    for row, (prompt, response) in enumerate(batch):
        end = len(prompt) + len(response)
        input_ids[row, :end] = torch.tensor([*prompt, *response])
        attention_mask[row, :end] = 1
        is_response[row, len(prompt) : end] = True
    with torch.inference_mode(), threads_for(network):
        input_ids = input_ids.to(network.device)
        logits = network(
            input_ids=input_ids, attention_mask=attention_mask.to(network.device), use_cache=False
        ).logits[:, :-1]
        labels, counted = input_ids[:, 1:, None], is_response[:, 1:].to(network.device)
        # logit - logsumexp, not log_softmax: no second tensor of the size of the logits
        token_logps = logits.gather(2, labels)[..., 0].float() - logits.float().logsumexp(-1)
        return (token_logps * counted).double().sum(1).cpu().numpy()


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
