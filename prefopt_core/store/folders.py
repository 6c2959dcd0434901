"""Model folders: what is in them, where the store keeps them, whose weights an adapter adapts.

An adapter that was not merged is a model folder, too, in PEFT's form:

adapter_config.json, adapter_model.safetensors   what was learned
adapter_base.json                                the model in the same store that it belongs to
config.json, tokenizer, chat template            as in that model's folder
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import file_digest
from prefopt_core.store.artifacts import Model, ModelFile

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
BASE = "adapter_base.json"


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


def described(folder: Path) -> Model:
    """The record of a finished model folder."""
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha256, size = file_digest(path)
        name = path.relative_to(folder).as_posix()
        files.append(ModelFile(name=name, sha256=sha256, size=size))
    return Model(files=tuple(files))


def place_of(objects: Path, model: Model) -> Path:
    """Where a model lies among the objects of a store."""
    return objects / model.digest[:2] / model.digest


def base_of(folder: Path) -> Model | None:
    """The model that an adapter belongs to; None for a folder that has its own weights.

    Raises:
        StoreError: What says so is damaged.
    """
    path = folder / BASE
    if not path.is_file():
        return None
    try:
        return Model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise StoreError(
            f"{path} is damaged: it does not name a model. `prefopt cache verify` takes such "
            "objects out of the way; the same command rebuilds them."
        ) from error


def note_base(folder: Path, start: Path) -> None:
    """Say in an adapter's folder whose weights it adapts: those that its training started from."""
    base = base_of(start) or described(start)
    (folder / BASE).write_text(base.model_dump_json())


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
    if not (folder / BASE).is_file():
        return None
    from safetensors import safe_open

    with safe_open(folder / ADAPTER_WEIGHTS, "np") as tensors:
        names = [name.partition(".lora_")[0] for name in tensors.keys()]  # noqa: SIM118, no dict
    rank = json.loads((folder / ADAPTER).read_bytes())["r"]
    return Adapter(folder, rank, frozenset(name.rpartition(".")[2] for name in names))
