"""Where things lie on this machine: the store, copies of stores behind URLs, what was paid for."""

import os
from pathlib import Path

from prefopt_core.ground.errors import ConfigError, StoreError


def checked_folder(folder: Path) -> Path:
    """The path of a store's folder, which need not be there.

    Raises:
        StoreError: A file is there.
    """
    folder = folder.expanduser()
    if folder.is_file():
        raise StoreError(
            f"{folder} is a file, and the store is a folder. Point PREFOPT_STORE at one; it is "
            "made if it is not there."
        )
    return folder


def caches() -> Path:
    """The folder below which copies of stores behind URLs lie: `$XDG_CACHE_HOME/prefopt`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "prefopt"


def ledger_folder(root: Path, url: str | None) -> Path:
    """The folder of labels and responses that were paid for: `$PREFOPT_LABELS`, else the store's.

    Args:
        root: Of the store.
        url: Behind which the store lies; None: nowhere else.

    Raises:
        ConfigError: It lies behind a URL, and the environment names no folder.
    """
    if folder := os.environ.get("PREFOPT_LABELS"):
        return Path(folder).expanduser().resolve()
    if url is None:
        return root
    raise ConfigError(
        f"The store is {url}, and its copy on this machine may be deleted at any time: labels and "
        "responses that are paid for must not lie in it. Name a folder that is kept: "
        "export PREFOPT_LABELS=/a/folder"
    )
