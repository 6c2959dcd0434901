"""Where people find their questions: what a waiting run says, and which pages are up."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from prefopt_core.ground.errors import AwaitingLabelsError
from prefopt_core.labels.batch import Batch
from prefopt_core.labels.store import AnnotatorIdentity
from prefopt_core.store.locks import is_held, locked
from prefopt_core.store.store import Store

PORT = 8765
"""Where the page is served if nothing else is said."""


@contextmanager
def announced(store: Store, batch: Batch, address: str) -> Iterator[None]:
    """Within the block, others find the address of a page on these questions.

    It lies in a lock file of its own, which the kernel releases if this process is killed.
    """
    path = store.root / "locks" / f"page-{batch.id}-{uuid.uuid4().hex}"
    with locked(path, "page for people"):
        path.write_text(address, encoding="utf-8")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def pages_on(store: Store, batch: Batch) -> list[str]:
    """The addresses at which these questions are served now, from this machine."""
    found = []
    for path in sorted((store.root / "locks").glob(f"page-{batch.id}-*")):
        if is_held(path):
            found.append(path.read_text(encoding="utf-8"))
        else:
            path.unlink(missing_ok=True)
    return [address for address in found if address]


def told(awaited: AwaitingLabelsError, people: AnnotatorIdentity, store: Store) -> str:
    """What is awaited, and how it is given: a line each."""
    lines = [f"{awaited} ({awaited.done} of {awaited.done + awaited.left} are given)"]
    for account in awaited.accounts:
        batch = Batch(people.name, people.guidelines, account)
        if served := pages_on(store, batch):
            lines += [f"  label:    {address}  (served already)" for address in served]
        else:
            lines.append(f"  label:    prefopt annotate {batch.id}  (at http://127.0.0.1:{PORT})")
    return "\n".join(lines)
