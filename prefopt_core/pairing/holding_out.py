"""Labelled pairs that no policy is trained on: a judge is calibrated by them."""

from typing import Literal

import numpy as np
import polars as pl

from prefopt_core.ground.randomness import rng_for

Part = Literal["train", "held out"]


def hold_out(pairs: pl.DataFrame, share: float, part: Part, *, seed: int) -> pl.DataFrame:
    """One part of pairs: those to train on, or a share of the labelled ones, which are held out.

    A prompt is held out with all its pairs, so that no response is in both parts. There are
    ⌊share·n + ½⌋ such prompts of n with labels, but at least one, and one stays. A prompt's draw
    depends on its id only.

    Args:
        pairs: Table `preferences`; judged pairs in it are all trained on.
        share: Above 0 and below 1.
        part: Which part.
        seed: Root of the draw.

    Returns:
        Table `preferences`, in the order of `pairs`. With one labelled prompt none is held out.
    """
    labelled = pairs.filter(pl.col("source") == "gold")["prompt_id"].unique(maintain_order=True)
    draws = [rng_for(seed, "held out", prompt_id).random() for prompt_id in labelled]
    wanted = min(max(1, int(share * len(labelled) + 0.5)), max(0, len(labelled) - 1))
    drawn = labelled.gather(np.argsort(draws, kind="stable")[:wanted])
    held = pl.col("prompt_id").is_in(drawn.implode())
    return pairs.filter(held if part == "held out" else ~held)
