"""Pairing stage: verdicts to preference pairs."""

import polars as pl

from prefopt_core.pairing.against_own import pair_against_own as against_own
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.pairing.table import pair_responses as pair
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store
from tasks.stage import stage


@stage("pair", table="preferences", version=1)
def pair_responses(
    annotations: Artifact | None,
    judgments: Artifact | None,
    candidates: Artifact,
    prompts: Artifact,
    logps: Artifact | None,
    config: PairingConfig,
    round_number: int,
    seed: int,
) -> pl.DataFrame:
    """Pair by paid labels where there are any, by the policy's own judgment elsewhere."""
    read = Store.open().read
    return pair(
        read(annotations) if annotations else None,
        read(judgments) if judgments else None,
        read(candidates),
        read(prompts),
        read(logps) if logps else None,
        config,
        round_number=round_number,
        seed=seed,
    )


@stage("pair_against_own", table="preferences", version=1)
def pair_against_own(labelled: Artifact, responses: Artifact, round_number: int) -> pl.DataFrame:
    """Pair the chosen response of every labelled prompt with the policy's own, as SPIN does."""
    read = Store.open().read
    return against_own(read(labelled), read(responses), round_number=round_number)
