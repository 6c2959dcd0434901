"""LoRA adapters that were not merged into their base model: model folders in PEFT's form."""

import json
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.ground.errors import StoreError
from prefopt_core.store.folders import ADAPTER_BASE, base_of, described, place_of

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter in the store.

    Attributes:
        folder: Its folder.
        rank: Rank r of its matrices.
        modules: Names of the adapted layers, last component only, such as q_proj.
    """

    folder: Path
    rank: int
    modules: frozenset[str]


def note_base(folder: Path, start: Path) -> None:
    """Write the base model's record into an adapter's folder.

    Args:
        folder: Of the adapter.
        start: Of the policy that training started from: the base model, or another adapter of it.

    Raises:
        StoreError: `start` is an adapter whose record of its base model is damaged.
    """
    base = base_of(start) or described(start)
    (folder / ADAPTER_BASE).write_text(base.model_dump_json())


def weights_of(folder: Path) -> Path:
    """The folder with whole weights: `folder` itself, or that of its base model if an adapter.

    Raises:
        StoreError: The base model is not in the adapter's store, or its record is damaged.
    """
    base = base_of(folder)
    if base is None:
        return folder
    found = place_of(folder.parents[1], base)
    if not found.is_dir():
        raise StoreError(
            f"The adapter {folder} belongs to the model {base.digest[:12]}, which is not beside it "
            "in the store. Run the same command again to rebuild it."
        )
    return found


def adapter_in(folder: Path) -> Adapter | None:
    """The LoRA adapter in a model folder; None if the folder has whole weights."""
    if not (folder / ADAPTER_BASE).is_file():
        return None
    from safetensors import safe_open

    with safe_open(folder / ADAPTER_WEIGHTS, "np") as tensors:
        names = [name.partition(".lora_")[0] for name in tensors.keys()]  # noqa: SIM118, no dict
    rank = json.loads((folder / ADAPTER).read_bytes())["r"]
    return Adapter(folder, rank, frozenset(name.rpartition(".")[2] for name in names))
