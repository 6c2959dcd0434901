"""Run one training in this process, or in several that `accelerate launch` starts.

    python -m prefopt_core.training.worker JOB.json

Only training in this process reports progress.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel, ConfigDict

from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.files import explained
from prefopt_core.ground.processes import end_with
from prefopt_core.ground.user_code import SAFE_PATH
from prefopt_core.models.loading import make_room
from prefopt_core.training.settings import TrainingConfig

if TYPE_CHECKING:
    from prefopt_core.training.trl_dpo import TrainingLog

_LAUNCH = """
import os, sys
from prefopt_core.ground.processes import end_with
end_with(int(sys.argv.pop(1)))
os.environ["PREFOPT_LAUNCHER"] = str(os.getpid())
from accelerate.commands.launch import main
main()
"""
"""`accelerate launch`, which ends with the run, as do its workers with it."""

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
    """Run `trl_dpo.train` in `config.processes` processes; same arguments and result.

    Raises:
        PrefoptError: One of several processes failed. One process raises what `trl_dpo.train` does.
    """
    from prefopt_core.training import trl_dpo

    make_room()  # unload the models of this process; those that it starts have none
    if config.processes == 1:
        return trl_dpo.train(pairs, start, output, work, config, seed=seed)
    with explained(work):
        job = write_job(pairs, start, output, work, config, seed=seed)
    launch(job, config.processes)
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


def launch(job: Path, processes: int) -> None:
    """Start `processes` workers on one job and wait for them.

    Raises:
        PrefoptError: One of them failed.
    """
    import torch

    options = {  # one left out would come from accelerate's configuration file in the user's home
        "num_processes": processes,
        "num_machines": 1,
        "mixed_precision": "no",  # `trl_dpo` sets it
        "dynamo_backend": "no",
        "main_process_port": 0,  # any free one
    }
    flags = ["--quiet", *(f"--{name}={value}" for name, value in options.items())]
    devices = "--multi_gpu" if torch.cuda.is_available() else "--cpu"
    launcher = [sys.executable, "-c", _LAUNCH, str(os.getpid()), devices, *flags]
    command = [*launcher, "-m", "prefopt_core.training.worker", str(job)]
    done = subprocess.run(command, env=os.environ | SAFE_PATH, check=False)
    if done.returncode:
        raise PrefoptError(
            f"Training on {processes} processes ended with exit code {done.returncode}; their "
            "output says why. The same command goes on from the last checkpoint."
        )


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
    if "PREFOPT_LAUNCHER" in os.environ:  # else somebody runs it by hand
        end_with(int(os.environ["PREFOPT_LAUNCHER"]))
    try:
        main(sys.argv[1])
    except PrefoptError as error:
        sys.exit(f"prefopt: {error}")
