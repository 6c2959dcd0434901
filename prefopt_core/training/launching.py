"""The processes of one training, started by `accelerate launch` from a file of its own form.

That file is `accelerate.yaml` beside the job, so one in the user's home counts for nothing.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.user_code import SAFE_PATH
from prefopt_core.training.launch_settings import LaunchConfig

LAUNCHER = "PREFOPT_LAUNCHER"
"""Environment variable with the id of the process that a worker ends with."""

_LAUNCH = f"""
import os, sys
from prefopt_core.ground.processes import end_with
if parent := int(sys.argv.pop(1)):
    end_with(parent)
os.environ[{LAUNCHER!r}] = str(os.getpid())
from accelerate.commands.launch import main
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
try:
    main()
except ChildFailedError:
    sys.exit(1)
"""
"""`accelerate launch`, which ends with the run, as do its workers with it; they say why."""

_DISTRIBUTED = {"ddp": "MULTI_GPU", "fsdp": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}


def launch(job: Path, config: LaunchConfig) -> None:
    """Start the workers on one job, on all machines, and wait for them.

    Args:
        job: File that `worker.main` takes; several machines see it under the same name.
        config: How many workers, where, and how they share the model.

    Raises:
        PrefoptError: One of them failed.
    """
    file = job.with_name("accelerate.yaml")
    file.write_text(yaml.safe_dump(accelerate_config(config)))
    # Started through somebody else, the launcher is no child of this process: the starter ends it.
    parent = 0 if config.starter else os.getpid()
    launcher = [*config.starter, sys.executable, "-c", _LAUNCH, str(parent)]
    command = [*launcher, *arguments(config, file), "prefopt_core.training.worker", str(job)]
    try:
        done = subprocess.run(command, env=_environment(), check=False)
    except OSError as error:
        raise PrefoptError(
            f"Cannot start {config.starter[0]!r} of `training.launch.starter`: {error.strerror}."
        ) from error
    if done.returncode:
        raise PrefoptError(
            f"Training on {config.processes} processes ended with exit code {done.returncode}; "
            "their output says why. The same command goes on from the last checkpoint."
        )


def arguments(config: LaunchConfig, file: Path) -> list[str]:
    """Of `accelerate launch`, before the name of the module."""
    meeting = ["--rdzv_backend", "c10d"] if config.machines > 1 else []  # not read from the file
    return [*meeting, "--config_file", str(file), "--module"]


def _environment() -> dict[str, str]:
    import torch

    # Else accelerate starts all the processes on CPUs, and each of them trains alone.
    processors = {} if torch.cuda.is_available() else {"ACCELERATE_USE_CPU": "true"}
    return os.environ | SAFE_PATH | processors


def accelerate_config(config: LaunchConfig) -> dict[str, Any]:
    """What `accelerate config` would write for these settings."""
    host, _, port = (config.address or "127.0.0.1:0").rpartition(":")  # 0: any free one
    return {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": _DISTRIBUTED[config.strategy],
        "num_processes": config.processes,
        "num_machines": config.machines,
        # Several get their ranks where they meet; the first would look whether the port is free.
        "machine_rank": int(config.machines > 1),
        "main_process_ip": host,
        "main_process_port": int(port),
        "mixed_precision": "no",  # `trl_dpo` sets it
        "debug": False,
        **_sharing(config),
    }


def _sharing(config: LaunchConfig) -> dict[str, Any]:
    if config.strategy == "ddp":
        return {}
    if config.strategy == "fsdp":
        fsdp = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_reshard_after_forward": True,
            "fsdp_offload_params": config.offload,
            "fsdp_state_dict_type": "SHARDED_STATE_DICT",
            "fsdp_cpu_ram_efficient_loading": False,
        }
        return {"fsdp_config": fsdp}
    device = "cpu" if config.offload else "none"
    zero3 = {
        "offload_param_device": device,
        "zero3_init_flag": True,
        "zero3_save_16bit_model": True,  # lets the first process gather the weights
    }
    deepspeed = {
        "zero_stage": 3 if config.strategy == "zero3" else 2,
        "offload_optimizer_device": device,
        "deepspeed_multinode_launcher": "standard",
        **(zero3 if config.strategy == "zero3" else {}),
    }
    return {"deepspeed_config": deepspeed}
