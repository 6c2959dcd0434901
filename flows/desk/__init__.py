"""The page on which people label, served from this machine: `prefopt annotate`."""

from prefopt_core.store.store import Store


def done(store: Store) -> None:
    """Called once a batch has all its labels: what waits for them can go on.

    Args:
        store: The store whose labels are complete.
    """
