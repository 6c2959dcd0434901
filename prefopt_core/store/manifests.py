"""Manifests: what was made of what, by which stage; the commit of a result."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from prefopt_core.store.artifacts import Artifact, Folder, Record


class Manifest(Record):
    """The record of one stage run: inputs, output, versions, time and memory."""

    format: Literal[1] = 1
    stage: str
    version: int
    key: str
    inputs: dict[str, Any]
    output: Artifact | Folder
    made_with: dict[str, str]  # versions of the libraries whose results can differ
    created: float  # seconds since 1970
    seconds: float
    peak_memory_mb: int
    role: str = ""  # the part of the run that it was made for, such as "round 2"


def read_manifest(path: Path) -> Manifest | str:
    """The manifest at a path of `Store.manifest_path`, or why there is none."""
    try:
        # A link is an error, and nobody is waited for at the other end of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:
            content = file.readall()
        return parsed(content, path)
    except FileNotFoundError:
        return "not made yet"
    except OSError as error:
        return f"its manifest cannot be read ({type(error).__name__})"


def parsed(content: bytes, path: Path) -> Manifest | str:
    """The manifest that was or would be read from a path, or why it is none."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        return f"its manifest cannot be read ({type(error).__name__})"
    if (manifest.stage, manifest.key) != (path.parent.name, path.stem):
        return "its manifest belongs to another result"
    return manifest
