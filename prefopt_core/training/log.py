"""What a training measured, kept beside the weights it led to: readable with any JSON tool."""

from pathlib import Path

import polars as pl

STEPS = "training_log.jsonl"
FLAGGED = "flagged_pairs.jsonl"


def write_log(folder: Path, steps: pl.DataFrame, flagged: pl.DataFrame) -> None:
    """Write the figures of every step, and the pairs that noise detection held to be wrong.

    Args:
        folder: The new policy's.
        steps: One row per optimiser step.
        flagged: prompt_id, chosen_id, rejected_id, times.
    """
    steps.write_ndjson(folder / STEPS)
    flagged.write_ndjson(folder / FLAGGED)


def read_log(folder: Path) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """(steps, flagged) of the training behind a policy; None of what it has not."""
    return _rows(folder / STEPS), _rows(folder / FLAGGED)


def _rows(path: Path) -> pl.DataFrame | None:
    empty = not path.is_file() or path.stat().st_size == 0
    return None if empty else pl.read_ndjson(path, infer_schema_length=None)
