"""One process of `counting.requests`: puts a table behind `$PREFOPT_STORE`, runs a stage on it."""

import sys

from benchmarks.scale.counting import table
from benchmarks.shards.cost import nothing
from prefopt_core.store.store import Store


def main() -> None:
    """Run it."""
    store = Store.open()
    made = table(store, int(sys.argv[1]))
    nothing.spec.run(store, nothing.spec.bind(made))


if __name__ == "__main__":
    main()
