"""The preferences of the last run: the default of `prefopt export`."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from prefopt_core.ground.errors import StoreError
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store

_FILE = "latest.json"
_Artifacts = TypeAdapter(list[Artifact])


def note_latest(store: Store, preferences: Sequence[Artifact]) -> None:
    """Record the `preferences` artifacts of every round of the run that has just ended."""
    store.put_page(_FILE, _Artifacts.dump_json(list(preferences)).decode())


def latest_preferences(store: Store) -> list[Artifact]:
    """The `preferences` artifacts of every round of the last run.

    Raises:
        StoreError: No run has ended in this store.
    """
    path = store.root / "runs" / _FILE
    if not path.is_file():
        raise StoreError(
            f"No run has ended in the store {store.root}. Run one, or name an artifact with "
            "`--artifact`; `prefopt cache ls` shows what there is."
        )
    return _Artifacts.validate_json(path.read_bytes())
