"""What a run answered to the prompts that it held out; pairs of it: the test split of its data."""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.pairing.table import pair_responses
from prefopt_core.store.artifacts import Artifact
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
            prompts=lineage.store.read_all(prompts_of(lineage, measured[0][1])).unique("prompt_id"),
            config=PairingConfig(),
            round_number=run.kept,
            seed=0,
        ).sort("prompt_id")
    except DataError:  # all of them tie
        return None


@dataclass(frozen=True)
class Measured:
    """A round as it was measured on held-out prompts.

    Attributes:
        number: Of the round; 0 is the start policy.
        answers: How its table `candidates` was made.
        grades: How its table `verdicts` was made.
        beside_previous: Likewise, of what the last round was graded by; a judge that compares said
            of both there which is better. None in the first two.
    """

    number: int
    answers: Made
    grades: Made
    beside_previous: Made | None


def rounds_measured(
    lineage: Lineage, run: Run, numbers: Collection[int | None] | None = None
) -> list[Measured]:
    """The rounds of a run that were measured on held-out prompts, in order.

    Args:
        lineage: Of the store.
        run: The run.
        numbers: Of the rounds that are wanted; None: all.

    Raises:
        StoreError: A table of one is gone from the store.
    """
    inputs = {
        number: lineage.made(key_values(metrics)).inputs
        for number, metrics in enumerate(run.metrics)
        if numbers is None or number in numbers
    }
    return [
        Measured(
            number,
            lineage.made(own["responses"]),
            lineage.made(own["grades"]),
            lineage.made(own["previous_grades"]) if own.get("previous_grades") else None,
        )
        for number, own in inputs.items()
        if own.get("responses") and own.get("grades")
    ]


def measured_by(lineage: Lineage, run: Run) -> list[tuple[Made, Made]]:
    """(grades, answers) to the held-out prompts, of the start policy and of the kept one.

    None of these if nothing was held out, or nothing trained.

    Raises:
        StoreError: A table of it is gone from the store.
    """
    wanted = rounds_measured(lineage, run, (0, run.kept))
    return [(each.grades, each.answers) for each in wanted] if len(wanted) == 2 else []


def prompts_of(lineage: Lineage, answers: Made) -> list[Artifact]:
    """The tables `prompts` among which are those that were answered; the stage ran by shard.

    Raises:
        StoreError: One is gone from the store.
    """
    tables = (lineage.made(manifest.inputs["prompts"]).table for manifest in answers.by)
    return [*{table.digest: table for table in tables}.values()]
