"""Pairing stages: verdicts to preference pairs."""

import polars as pl

from prefopt_core.pairing import against_own, consistency, holding_out, replay, table
from prefopt_core.pairing.holding_out import Part
from prefopt_core.pairing.settings import PairingConfig
from tasks.stage import stage


@stage("pair", table="preferences", version=3)
def pair_responses(
    *,
    labels: pl.DataFrame | None = None,
    judgments: pl.DataFrame | None = None,
    candidates: pl.LazyFrame,
    prompts: pl.DataFrame,
    logps: pl.LazyFrame | None = None,
    config: PairingConfig,
    round_number: int,
    seed: int,
) -> pl.DataFrame:
    """Pair by paid labels (`labels`) where there are any, elsewhere by `judgments`.

    `judgments` is a table `verdicts` by the policy itself, `logps` the table `logps` of
    `candidates` under the reference model.
    """
    return table.pair_responses(
        labels=labels,
        judgments=judgments,
        candidates=candidates,
        prompts=prompts,
        logps=logps,
        config=config,
        round_number=round_number,
        seed=seed,
    )


@stage("pair_against_own", table="preferences", version=1)
def pair_against_own(
    labelled: pl.DataFrame, responses: pl.DataFrame, round_number: int
) -> pl.DataFrame:
    """Pair the chosen response of every labelled prompt with the policy's own, as SPIN does."""
    return against_own.pair_against_own(labelled, responses, round_number=round_number)


@stage("note_consistency", table="preferences", version=1)
def note_consistency(
    pairs: pl.DataFrame, judgments: pl.DataFrame, earlier: pl.DataFrame
) -> pl.DataFrame:
    """Note how far `judgments` of the pairs' prompts rank as those of an `earlier` judge do."""
    return consistency.with_consistency(pairs, judgments, earlier)


@stage("hold_out", table="preferences", version=1)
def hold_out(pairs: pl.DataFrame, share: float, part: Part, seed: int) -> pl.DataFrame:
    """Of the labelled pairs a share, to calibrate a judge by; or the pairs without it."""
    return holding_out.hold_out(pairs, share, part, seed=seed)


@stage("draw_replay", table="preferences", version=2)
def draw_replay(
    labelled: list[pl.DataFrame], pairs: pl.DataFrame, share: float, seed: int
) -> pl.DataFrame:
    """Draw labelled pairs so that they are `share` of what a round trains on beside `pairs`."""
    return replay.draw_replay(labelled, pairs, share, seed=seed)
