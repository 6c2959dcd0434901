"""Telling others how far a desk is, beside the people who answer there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.desk import Desk
from prefopt_core.labels.standing import Progress

EVERY_S = 3.0


@contextmanager
def watched(
    desk: Desk, tell: Callable[[Progress], None], every_s: float = EVERY_S
) -> Iterator[None]:
    """Within the block, tell the progress when it has changed, in a thread of its own.

    Args:
        desk: Whose progress.
        tell: Is told it; may take its time.
        every_s: At most so often, in seconds.
    """
    ended, before = threading.Event(), desk.progress().given

    def watch() -> None:
        known = before
        while not ended.wait(every_s):
            with suppress(StoreError):  # who answers is told
                progress = desk.progress()
                if progress.given != known:
                    known = progress.given
                    tell(progress)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
