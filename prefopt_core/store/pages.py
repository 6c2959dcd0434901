"""Pages in the store that are made again only when what they are made of has changed."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import prefopt_core
from prefopt_core.ground.files import content_digest
from prefopt_core.store.artifacts import Record, sha256_of
from prefopt_core.store.cache_key import key_values
from prefopt_core.store.store import Store


class Made(Record):
    """What a page was made of, beside it as `.NAME.json`; written after the page."""

    key: str
    sha256: str  # of the page, so that one that was edited or is another's is made again


def put_page_of(
    store: Store, name: str, inputs: Mapping[str, Any], make: Callable[[], str]
) -> Path:
    """Write `make()` to `runs/NAME`, unless the same is there; returns its path.

    Args:
        store: Where.
        name: Path under `runs/`.
        inputs: All that the page is made of; artifacts and folders count by their digests. The
            library's own code counts without being named.
        make: Makes the page.

    Raises:
        StoreError: The operating system refuses to write.
    """
    page = store.page(name)
    note = store.page(f"{Path(name).parent}/.{page.name}.json")
    key = sha256_of({"inputs": key_values(inputs), "code": _code()})
    if _noted(note) != Made(key=key, sha256=content_digest(page) or ""):
        store.put_page(name, make())
        made = Made(key=key, sha256=content_digest(page) or "")
        store.put_page(note.relative_to(store.root / "runs").as_posix(), made.model_dump_json())
    return page


def _noted(note: Path) -> Made | None:
    try:
        return Made.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        return None


@cache
def _code() -> str:
    """Digest of this library's files; read, as nobody would raise a version for a page."""
    root = Path(prefopt_core.__file__).parent
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.parent.name != "__pycache__")
    return sha256_of([[p.relative_to(root).as_posix(), content_digest(p)] for p in files])
