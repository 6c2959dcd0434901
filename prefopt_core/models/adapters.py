"""LoRA adapters that were not merged: model folders in PEFT's form."""

import json
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.ground.errors import StoreError
from prefopt_core.store.folders import ADAPTER_BASE, base_of, described, place_of

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Adapter:
    """What was learned beside weights that stay as they are.

    Attributes:
        folder: Where it lies.
        rank: Of its matrices.
        modules: Last names of the layers that it adapts, such as q_proj.
    """

    folder: Path
    rank: int
    modules: frozenset[str]


def note_base(folder: Path, start: Path) -> None:
    """Say in an adapter's folder whose weights it adapts: those that its training started from."""
    base = base_of(start) or described(start)
    (folder / ADAPTER_BASE).write_text(base.model_dump_json())


def weights_of(folder: Path) -> Path:
    """The folder of the whole weights: this one, or that of the model its adapter belongs to.

    Raises:
        StoreError: The adapter's model is not in the store where the adapter is.
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
    """The adapter that a model folder consists of; None for one that has its own weights."""
    if not (folder / ADAPTER_BASE).is_file():
        return None
    from safetensors import safe_open

    with safe_open(folder / ADAPTER_WEIGHTS, "np") as tensors:
        names = [name.partition(".lora_")[0] for name in tensors.keys()]  # noqa: SIM118, no dict
    rank = json.loads((folder / ADAPTER).read_bytes())["r"]
    return Adapter(folder, rank, frozenset(name.rpartition(".")[2] for name in names))
