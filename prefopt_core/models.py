"""Model folders: loaded for generation and scoring, one at a time."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefopt_core.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@lru_cache(maxsize=2)  # scoring alternates between the policy and its reference
def load_model(folder: Path, device: str = "auto") -> "PreTrainedModel":
    """Load a causal language model in its own dtype, ready for inference.

    Args:
        folder: Weights, config and tokenizer.
        device: "cpu", "cuda", …; "auto" spreads it over the GPUs there are, else the CPU.
    """
    import torch
    from transformers import AutoModelForCausalLM

    place = device
    if device == "auto":
        place = "auto" if torch.cuda.is_available() else "cpu"
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", device_map=place)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Cannot load a causal language model from {folder}: {error} The folder must hold "
            "config.json and safetensors weights."
        ) from error
    model.eval()  # type: ignore[no-untyped-call]
    return model


def release_models() -> None:
    """Give the memory of loaded models back, so that training finds it free."""
    import gc

    import torch

    load_model.cache_clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
