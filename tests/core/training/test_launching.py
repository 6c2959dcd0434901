"""The section `training.launch`: its file for accelerate, its keys and names, what it refuses."""

import sys

import pytest
import yaml
from accelerate.commands.config import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from pydantic import ValidationError

from prefopt_core.ground.errors import Lacking, PrefoptError
from prefopt_core.training.launching import accelerate_config, arguments, launch
from prefopt_core.training.settings import LaunchConfig, TrainingConfig

EIGHT = {"processes": 8, "strategy": "fsdp"}
MACHINES = {"machines": 2, "address": "node-0:29500", "starter": ["srun", "--nodes=2"]}


def parsed(tmp_path, **settings):
    """What `accelerate launch` makes of its file."""
    file, config = tmp_path / "accelerate.yaml", LaunchConfig(**settings)
    file.write_text(yaml.safe_dump(accelerate_config(config)))
    load_config_from_file(str(file))  # refuses keys that it does not know
    told = [*arguments(config, file), "prefopt_core.training.worker", "job.json"]
    return _validate_launch_command(launch_command_parser().parse_args(told))[0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"processes": 8}, {"multi_gpu": True, "use_fsdp": False}),
        (EIGHT, {"use_fsdp": True, "fsdp_version": 2, "fsdp_offload_params": False}),
        (EIGHT | {"offload": True}, {"use_fsdp": True, "fsdp_offload_params": True}),
        (EIGHT | {"strategy": "zero2"}, {"use_deepspeed": True, "zero_stage": 2}),
        (
            EIGHT | {"strategy": "zero3", "offload": True},
            {"use_deepspeed": True, "zero_stage": 3, "offload_param_device": "cpu",
             "offload_optimizer_device": "cpu", "zero3_init_flag": True},
        ),
        (
            EIGHT | MACHINES,
            {"num_machines": 2, "main_process_ip": "node-0", "main_process_port": 29500,
             "rdzv_backend": "c10d"},
        ),
    ],
)  # fmt: skip
def test_accelerate_understands_its_file(tmp_path, settings, expected):
    found = vars(parsed(tmp_path, **settings))
    assert found["num_processes"] == 8
    assert {name: found[name] for name in expected} == expected


def test_processes_are_still_read_where_they_were_and_have_the_same_key():
    older = TrainingConfig(processes=2, micro_batch_size=2)
    newer = TrainingConfig(launch={"processes": 2}, micro_batch_size=2)
    assert older == newer
    part = newer.key_part()
    assert part["processes"] == 2
    assert part.keys().isdisjoint({"launch", "quantize", "attention", "liger"})
    with pytest.raises(ValidationError, match=r"older name of `launch\.processes`"):
        TrainingConfig(processes=2, launch={"processes": 4})


def test_what_may_change_a_bit_is_in_the_key_and_where_it_runs_is_not():
    def part(launch, **settings):
        return TrainingConfig(launch=launch, **settings).key_part()

    assert part({"processes": 4} | MACHINES) == part({"processes": 4})
    parts = [
        part({"processes": 4}),
        part({"processes": 4, "strategy": "fsdp"}),
        part({"processes": 4, "strategy": "fsdp", "offload": True}),
        part({"processes": 4}, attention="eager"),
        part({"processes": 4}, liger=True),
        part({"processes": 4}, quantize="nf4", lora={}),
    ]
    assert all(parts.count(one) == 1 for one in parts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"launch": {"processes": 3} | MACHINES}, r"multiple of 2"),
        ({"launch": {"processes": 2, "machines": 2}}, r"need `address`.*and `starter`"),
        ({"launch": {"offload": True}}, r"Set `strategy` to 'fsdp'"),
        ({"quantize": "nf4"}, r"set `lora`"),
        ({"loss": "noise_aware", "launch": {"strategy": "zero3"}}, r"'fsdp' or 'zero2'"),
        ({"quantize": "nf4", "lora": {}, "launch": {"strategy": "fsdp"}}, r"strategy` at 'ddp'"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        TrainingConfig(batch_size=24, **settings)


def test_a_machine_without_gpu_or_package_says_so_before_the_run(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    found = [*TrainingConfig(quantize="nf4", lora={}).check()]
    assert all(isinstance(doubt, Lacking) for doubt in found)
    assert "quantize needs an NVIDIA GPU" in found[-1]
    assert [*TrainingConfig().check()] == []


def test_a_starter_that_is_not_there_is_named(tmp_path):
    config = LaunchConfig(processes=2, **MACHINES | {"starter": ["no-such-starter"]})
    with pytest.raises(PrefoptError, match=r"Cannot start 'no-such-starter' of `training\.launch"):
        launch(tmp_path / "job.json", config)
