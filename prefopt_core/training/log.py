"""The training log: metrics of every step and flagged pairs, as JSON lines beside the weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

STEPS = "training_log.jsonl"
FLAGGED = "flagged_pairs.jsonl"
STEP_METRICS = (
    "loss",
    "learning_rate",
    "grad_norm",
    "reward_margin",
    "accuracy",
    "chosen_logps",
    "rejected_logps",
    "chosen_shift",
    "rejected_shift",
    "threshold",
    "flagged",
)
"""What is measured at every step; see `trl_dpo.TrainingLog`."""
KEPT = 0.9
"""Share of the trained margin that the saved policy must have; below, a run warns."""
NOISE = 1e-5
"""Difference of margins that needs no rounding of weights."""


def rounded_away(trained: float, saved: float) -> bool:
    """Whether a training was lost when its policy was saved, by the mean margins of some pairs."""
    return trained - saved > max(NOISE, (1 - KEPT) * trained)


def write_log(folder: Path, steps: pl.DataFrame, flagged: pl.DataFrame) -> None:
    """Write the metrics of every step, and the pairs that noise detection flagged.

    Args:
        folder: That of the new policy.
        steps: One row per optimiser step, see `trl_dpo.TrainingLog`.
        flagged: Columns prompt_id, chosen_id, rejected_id and times, how often it was flagged.
    """
    steps.write_ndjson(folder / STEPS)
    flagged.write_ndjson(folder / FLAGGED)


def read_log(folder: Path) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """(steps, flagged) of a policy's folder, as `write_log` takes them; None for an absent one."""
    return _rows(folder / STEPS), _rows(folder / FLAGGED)


def _rows(path: Path) -> pl.DataFrame | None:
    if not path.is_file() or path.stat().st_size == 0:
        return None
    # Bytes, not the path, which polars would take for a pattern.
    return pl.read_ndjson(path.read_bytes(), infer_schema_length=None)


def steps_of(history: Sequence[Mapping[str, float]]) -> pl.DataFrame:
    """The steps among the entries of a trainer's log: columns `step` and `STEP_METRICS`."""
    steps = [entry for entry in history if "loss" in entry]
    schema = {"step": pl.Int64(), **dict.fromkeys((*STEP_METRICS, "doubtful"), pl.Float64())}
    share = pl.col("flagged") / pl.col("doubtful")
    flagged = pl.when(pl.col("doubtful") > 0).then(share).alias("flagged")
    return pl.DataFrame(
        [{name: entry.get(name) for name in schema} for entry in steps], schema=schema
    ).select("step", *STEP_METRICS[:-1], flagged)
