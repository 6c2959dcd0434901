"""Replay: labelled pairs of earlier rounds beside those of a round (DICE, arXiv:2406.09760)."""

import logging
from collections.abc import Sequence

import numpy as np
import polars as pl

from prefopt_core.ground.randomness import rng_for

log = logging.getLogger(__name__)


def draw_replay(
    labelled: Sequence[pl.DataFrame], pairs: pl.DataFrame, share: float, *, seed: int
) -> pl.DataFrame:
    """Draw so many labelled pairs that they are a share of all that a round trains on.

        n_labelled = ⌊γ·n / (1 - γ)⌋,    n pairs of the round, γ the share

    Drawn are pairs on prompts that the round has no pair of. Where there are too few, all of them.
    A pair's draw depends on its ids only, so others that come or go do not change it.

    Args:
        labelled: Tables `preferences` of pairs with paid labels; others in them are left out.
        pairs: Table `preferences` of the round.
        share: γ, above 0 and below 1.
        seed: Root of the draw; a round has its own.

    Returns:
        Table `preferences`, in the order of `labelled`.
    """
    every = pl.concat(labelled, how="diagonal").filter(pl.col("source") == "gold")
    others = every.join(pairs.select("prompt_id"), "prompt_id", how="anti", maintain_order="left")
    wanted = int(share * pairs.height / (1 - share) + 1e-9)
    if wanted > others.height:
        log.warning(
            "replay: %s of the round's pairs would be %s labelled ones, and there are %s; all of "
            "them are taken.",
            f"{share:g}",
            wanted,
            others.height,
        )
        return others
    turn, ids = str(pairs["round"].max()), others.select("prompt_id", "chosen_id", "rejected_id")
    draws = [rng_for(seed, "replay", turn, *own).random() for own in ids.iter_rows()]
    return others[np.sort(np.argsort(draws, kind="stable")[:wanted])]
