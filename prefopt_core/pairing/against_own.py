"""SPIN's pairs: a labelled response against the policy's own response, arXiv:2401.01335."""

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.tables import TABLES


def pair_against_own(
    labelled: pl.DataFrame, responses: pl.DataFrame, *, round_number: int
) -> pl.DataFrame:
    """Prefer each labelled prompt's chosen response to the policy's own; no label is bought.

    Args:
        labelled: Table `preferences` of gold pairs, with token ids and with `ref_chosen_logps`
            under the policy. Of several pairs of a prompt the one of the largest margin counts.
        responses: Table `candidates` of the policy's responses to their prompts; the first counts.
        round_number: Counted from 1.

    Returns:
        Table `preferences`, of source `self`: no annotator said that the policy's response is
        worse. A prompt to which the policy wrote the chosen response itself is left out.

    Raises:
        DataError: No prompt is left.
    """
    kept = ["prompt_id", "prompt", "chosen", "chosen_id", "ref_chosen_logps"]
    kept += ["prompt_token_ids", "chosen_token_ids", "template"]
    best = labelled.sort("margin", descending=True, maintain_order=True).select(kept)
    own = responses.filter(pl.col("sample") == 0).select(
        "prompt_id",
        pl.concat_list(pl.struct(role=pl.lit("assistant"), content="response")).alias("rejected"),
        rejected_id="candidate_id",
        rejected_token_ids="response_token_ids",
        ref_rejected_logps="logps",
    )
    pairs = (
        best.unique("prompt_id", keep="first", maintain_order=True)
        .join(own, "prompt_id", maintain_order="left")
        .filter(pl.col("chosen_id") != pl.col("rejected_id"))
    )
    if pairs.is_empty():
        raise DataError(
            "The policy writes the chosen response to every labelled prompt itself, so SPIN has "
            "nothing left to tell apart. Lower `iterations`."
        )
    said = {"annotator": "spin", "source": "self", "confidence": 1.0, "margin": 1.0}
    columns = TABLES["preferences"].columns
    return pairs.with_columns(
        *(pl.lit(value, columns[name]).alias(name) for name, value in said.items()),
        round=pl.lit(round_number, pl.Int32),
    )
