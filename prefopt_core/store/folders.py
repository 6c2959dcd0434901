"""Folders in the store: their records and paths, and the base model of a LoRA adapter.

A LoRA adapter that was not merged is a model folder, too, in PEFT's form:

adapter_config.json, adapter_model.safetensors   the adapter's settings and weights
adapter_base.json                                `Folder` of its base model, in the same store
config.json, tokenizer, chat template            as in the base model's folder
"""

from pathlib import Path

from pydantic import ValidationError

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import file_digest
from prefopt_core.store.artifacts import File, Folder

ADAPTER_BASE = "adapter_base.json"
"""File that names the base model of an adapter."""


def described(folder: Path) -> Folder:
    """The record of a finished folder: names, digests and sizes of its files."""
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha256, size = file_digest(path)
        name = path.relative_to(folder).as_posix()
        files.append(File(name=name, sha256=sha256, size=size))
    return Folder(files=tuple(files))


def place_of(objects: Path, model: Folder) -> Path:
    """Path of a stored folder; `objects` is the folder of that name in the store."""
    return objects / model.digest[:2] / model.digest


def base_of(folder: Path) -> Folder | None:
    """The base model of the adapter in `folder`; None for a folder that has whole weights.

    Raises:
        StoreError: The file that names the base model is damaged.
    """
    path = folder / ADAPTER_BASE
    return base_in(path.read_bytes(), path) if path.is_file() else None


def base_in(content: bytes, path: Path) -> Folder:
    """The base model that an adapter's file names; `path` is that file, for the message.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return Folder.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(
            f"{path} is damaged: it does not name a model. `prefopt cache verify` takes such "
            "objects out of the way; the same command rebuilds them."
        ) from error
