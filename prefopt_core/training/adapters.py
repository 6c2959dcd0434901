"""LoRA adapters in training: new ones, existing ones trained further, and saving them."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import BitsAndBytesConfig

from prefopt_core.ground.errors import ConfigError
from prefopt_core.models.adapters import ADAPTER, ADAPTER_WEIGHTS
from prefopt_core.models.loading import adapted
from prefopt_core.training.settings import LoraConfig as Settings

COPIED = ("config.json", "generation_config.json")
"""Configuration files of a model folder that are saved beside its adapters."""


def new_adapters(lora: Settings) -> LoraConfig:
    """PEFT's settings of new LoRA adapters, for a model that has none yet."""
    modules = (
        lora.target_modules if isinstance(lora.target_modules, str) else [*lora.target_modules]
    )
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=modules,
    )


def continued(model: Any, start: Path, lora: Settings | None) -> PeftModel:
    """Load existing LoRA adapters, to be trained further.

    Args:
        model: Their base model.
        start: Folder of the adapters.
        lora: The settings that the run asks for.

    Returns:
        PEFT's model of both, in which the adapters are trainable.

    Raises:
        ConfigError: The adapters have another rank, alpha or dropout than `lora`.
    """
    policy: PeftModel = adapted(model, start, trainable=True)
    had: Any = policy.peft_config["default"]
    before = (had.r, had.lora_alpha, had.lora_dropout)
    if lora is None or before != (lora.r, lora.alpha, lora.dropout):
        raise ConfigError(
            f"The policy in {start} has adapters with r, alpha and dropout of {before}: training "
            "goes on with them. Give `training.lora` the same values, or train from a policy with "
            "weights of its own (`lora.merge: true`, or `prefopt export`)."
        )
    return policy


def in_four_bits() -> dict[str, Any]:
    """Options that load the weights of linear layers as nf4, but for the output layer (QLoRA)."""
    device = PartialState(cpu=not torch.cuda.is_available()).device  # of several, its own
    settings = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": settings, "device_map": {"": device}}


def trained_values(model: Any) -> dict[str, torch.Tensor]:
    """Name → a copy of each of the weights that are trained, such as adapters from a round ago."""
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def in_full(model: Any, before: dict[str, torch.Tensor] | None) -> None:
    """Train adapters over quantised weights in float32: TRL rounds them to 16 bits.

    Args:
        model: TRL's.
        before: Values that they had before TRL rounded them; None: nothing is quantised.
    """
    if before is None:
        return
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.data = before.get(name, weight.data).float()


def save_adapters(policy: PeftModel, start: Path, output: Path) -> None:
    """Write the adapters of a policy that was trained from `start`, in PEFT's form."""
    settings = policy.peft_config["default"].to_dict() | {
        "base_model_name_or_path": None,  # would be a path; `ADAPTER_BASE` has the digest
        "inference_mode": True,
    }
    # PEFT's own `save_pretrained` writes sets in any order: equal adapters, different bytes.
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in settings.items()}
    (output / ADAPTER).write_text(json.dumps(plain, indent=2, sort_keys=True))
    weights = get_peft_model_state_dict(policy, adapter_name="default")
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    save_file(tensors, output / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    for name in COPIED:
        if (start / name).is_file():
            shutil.copyfile(start / name, output / name)
