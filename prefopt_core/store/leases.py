"""Leases: what `store.locks` is on one machine, between machines; never needed for correctness.

A lease is an object that its holder writes anew every few seconds. Who waits for it needs no clock
that agrees with anybody's: one that has not changed for `LASTS` seconds belongs to a dead process.
A holder that was thought dead does some work twice; whose manifest is first, stands.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import write_whole
from prefopt_core.store.remote import Remote, Stamp

log = logging.getLogger(__name__)

LASTS = 90.0
"""Seconds for which a holder may be silent."""


@contextmanager
def leased(
    remote: Remote, name: str, owner: str, purpose: str, *, lasts: float = LASTS
) -> Iterator[None]:
    """Hold the lease `name` for the block; waits while another machine holds it.

    Args:
        remote: Where it lies.
        name: Of the work.
        owner: Of this machine: what its own dead processes held is taken at once, as a file lock
            keeps its living ones apart.
        purpose: What is waited for, for the message.
        lasts: Seconds; the same on all machines.
    """
    place, done = f"leases/{name}", threading.Event()
    _take(remote, place, owner, purpose, lasts)
    renewal = (remote, place, owner, lasts / 6, done)
    renewing = threading.Thread(target=_renew, args=renewal, daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        if (found := remote.read(place)) and _owner(found[0]) == owner:
            remote.delete([place])


def machine(root: Path) -> str:
    """The name of this machine among those that share a store: drawn once, kept beside the copy."""
    path = root / "machine"
    if not path.is_file():
        write_whole(path, lambda file: file.write_text(uuid.uuid4().hex))
    return path.read_text()


def _take(remote: Remote, place: str, owner: str, purpose: str, lasts: float) -> None:
    seen, since, told, pause = "", time.monotonic(), False, 0.05
    while not remote.create(place, _content(owner)):
        if (found := remote.read(place)) is None:
            continue
        content, stamp = found
        if stamp.e_tag != seen:
            seen, since = stamp.e_tag, time.monotonic()
        free = _owner(content) == owner or time.monotonic() - since > lasts
        if free and remote.replace(place, _content(owner), stamp):
            return
        if not told:
            log.warning("%s: another machine is at it; waiting for it to finish", purpose)
            told = True
        time.sleep(pause)
        pause = min(2.0, 1.5 * pause)


def _renew(remote: Remote, place: str, owner: str, every: float, done: threading.Event) -> None:
    while not done.wait(every):
        try:
            found: tuple[bytes, Stamp] | None = remote.read(place)
            if not found or _owner(found[0]) != owner:
                return  # it was thought dead
            remote.replace(place, _content(owner), found[1])
        except StoreError as error:  # what is computed may still be committed
            log.info("the lease %s could not be renewed: %s", place, error)


def _content(owner: str) -> bytes:
    return f"{owner} {uuid.uuid4().hex}".encode()  # e-tags of equal contents may be equal


def _owner(content: bytes) -> str:
    return content.decode(errors="replace").partition(" ")[0]
