"""Run one training in this process, or in several that `accelerate launch` starts.

    python -m prefopt_core.training.worker JOB.json

Only training in this process reports progress.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel, ConfigDict

from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.files import explained
from prefopt_core.ground.processes import end_with
from prefopt_core.models.loading import make_room
from prefopt_core.training.launching import LAUNCHER, launch
from prefopt_core.training.settings import TrainingConfig

if TYPE_CHECKING:
    from prefopt_core.training.trl_dpo import TrainingLog

LOG_TABLES = ("steps", "flagged")
"""Fields of `trl_dpo.TrainingLog`, which the first process writes for the one that launched it."""


class Job(BaseModel):
    """The arguments of a training as a JSON file for its processes; the pairs are in `work`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Path
    output: Path
    work: Path
    config: TrainingConfig
    seed: int


def train_in_processes(
    pairs: pl.DataFrame, start: Path, output: Path, work: Path, config: TrainingConfig, *, seed: int
) -> "TrainingLog":
    """Run `trl_dpo.train` in as many processes as `config.launch` says; same arguments and result.

    Raises:
        PrefoptError: One of several processes failed. One process raises what `trl_dpo.train` does.
    """
    from prefopt_core.training import trl_dpo

    make_room()  # unload the models of this process; those that it starts have none
    if config.launch.alone:
        return trl_dpo.train(pairs, start, output, work, config, seed=seed)
    with explained(work):
        job = write_job(pairs, start, output, work, config, seed=seed)
    launch(job, config.launch)
    files = [work / f"{name}.parquet" for name in LOG_TABLES]
    return trl_dpo.TrainingLog(*(pl.read_parquet(file, glob=False) for file in files))


def write_job(
    pairs: pl.DataFrame, start: Path, output: Path, work: Path, config: TrainingConfig, *, seed: int
) -> Path:
    """Write a `Job` and its pairs into `work`; returns the file that `main` takes."""
    work.mkdir(parents=True, exist_ok=True)
    job = Job(start=start, output=output, work=work, config=config, seed=seed)
    (work / "job.json").write_text(job.model_dump_json())
    pairs.write_parquet(work / "pairs.parquet")
    return work / "job.json"


def main(path: str) -> None:
    """Be one of the processes that work on a job; the first one writes the results."""
    from accelerate import PartialState

    from prefopt_core.training import trl_dpo

    job = Job.model_validate_json(Path(path).read_text())
    pairs = pl.read_parquet(job.work / "pairs.parquet", glob=False)
    log = trl_dpo.train(pairs, job.start, job.output, job.work, job.config, seed=job.seed)
    if PartialState().is_main_process:
        for name in LOG_TABLES:
            getattr(log, name).write_parquet(job.work / f"{name}.parquet")


if __name__ == "__main__":
    if LAUNCHER in os.environ:  # else somebody runs it by hand
        end_with(int(os.environ[LAUNCHER]))
    try:
        main(sys.argv[1])
    except PrefoptError as error:
        sys.exit(f"prefopt: {error}")
