"""Folders of the store: what is in them, where they lie, whose weights an adapter adapts.

An adapter that was not merged is a model folder, too, in PEFT's form:

adapter_config.json, adapter_model.safetensors   what was learned
adapter_base.json                                the model in the same store that it belongs to
config.json, tokenizer, chat template            as in that model's folder
"""

from pathlib import Path

from pydantic import ValidationError

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import file_digest
from prefopt_core.store.artifacts import File, Folder

BASE = "adapter_base.json"


def described(folder: Path) -> Folder:
    """The record of a finished model folder."""
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha256, size = file_digest(path)
        name = path.relative_to(folder).as_posix()
        files.append(File(name=name, sha256=sha256, size=size))
    return Folder(files=tuple(files))


def place_of(objects: Path, model: Folder) -> Path:
    """Where a model lies among the objects of a store."""
    return objects / model.digest[:2] / model.digest


def base_of(folder: Path) -> Folder | None:
    """The model that an adapter belongs to; None for a folder that has its own weights.

    Raises:
        StoreError: What says so is damaged.
    """
    path = folder / BASE
    if not path.is_file():
        return None
    try:
        return Folder.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise StoreError(
            f"{path} is damaged: it does not name a model. `prefopt cache verify` takes such "
            "objects out of the way; the same command rebuilds them."
        ) from error
