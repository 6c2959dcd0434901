"""Pairs on the prompts that a run held out: the split `test` of its data set."""

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.pairing.table import pair_responses
from prefopt_core.store.cache_key import key_values
from prefopt_core.store.lineage import Lineage, Made
from prefopt_core.store.runs import Run


def held_out_pairs(lineage: Lineage, run: Run) -> pl.DataFrame | None:
    """Best against worst of what the start policy and the kept one answered, as the run graded it.

    Args:
        lineage: Of the store.
        run: Its first and its kept round are compared.

    Returns:
        Table `preferences` on prompts that no round has seen; None: nothing was held out, nothing
        trained, or no response was better than another.

    Raises:
        StoreError: A table of it is gone from the store.
    """
    measured = measured_by(lineage, run)
    if not (measured and run.kept):
        return None
    grades, candidates = (
        pl.concat(lineage.store.read(made.table) for made in tables)
        for tables in zip(*measured, strict=True)
    )
    try:
        return pair_responses(
            labels=grades,
            candidates=candidates.lazy(),
            prompts=_prompts(lineage, measured[0][1]),
            config=PairingConfig(),
            round_number=run.kept,
            seed=0,
        ).sort("prompt_id")
    except DataError:  # all of them tie
        return None


def measured_by(lineage: Lineage, run: Run) -> list[tuple[Made, Made]]:
    """(grades, answers) to the held-out prompts, of the start policy and of the kept one.

    None of these if nothing was held out, or nothing trained.

    Raises:
        StoreError: A table of it is gone from the store.
    """
    if not run.kept:
        return []
    inputs = [lineage.made(key_values(run.metrics[at])).inputs for at in (0, run.kept)]
    if not all(each.get("responses") for each in inputs):
        return []
    return [(lineage.made(each["grades"]), lineage.made(each["responses"])) for each in inputs]


def _prompts(lineage: Lineage, answers: Made) -> pl.DataFrame:
    """The prompts that were answered; the stage ran shard by shard."""
    tables = [lineage.made(manifest.inputs["prompts"]).table for manifest in answers.by]
    return lineage.store.read_all(tables).unique("prompt_id", maintain_order=True)
