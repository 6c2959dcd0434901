"""Defects to plant in the code of a run, which a campaign has to find: `--plant NAME`.

    python -m benchmarks.faults --plant digests --only object-flipped --faults 6

A campaign that finds none of them would find nothing else either.
"""

import sys
from collections.abc import Callable

import flows.cli


def _digests() -> None:
    """Damaged objects are taken for whole."""
    from prefopt_core.store import intact

    intact._is_intact = lambda path, expected: path.exists()


def _labels() -> None:
    """Labels that were bought are not found again."""
    from prefopt_core.labels.purchase import Purchase

    Purchase.known = lambda self: {}


def _checkpoints() -> None:
    """A checkpoint counts whatever is in it."""
    from prefopt_core.training import resume

    resume._is_whole = lambda checkpoint: (checkpoint / resume.MARKER).exists()


def _budget() -> None:
    """Whatever is to be bought fits into the budget, and all is left of it."""
    from prefopt_core.labels.account import Account

    Account._check = lambda self, balance, labels, cost: None
    Account.affordable = lambda self, price: self.allowance.labels


def _hits() -> None:
    """What was finished is never found."""
    from prefopt_core.store.stage import Stage

    Stage._lookup = lambda self, store, arguments, inputs: (None, "not made yet")


DEFECTS: dict[str, Callable[[], None]] = {
    "digests": _digests,
    "labels": _labels,
    "checkpoints": _checkpoints,
    "budget": _budget,
    "hits": _hits,
}


def program_with(defect: str) -> tuple[str, ...]:
    """Arguments of Python for the command line with that defect."""
    return "-m", "benchmarks.faults.planted", defect


if __name__ == "__main__":
    DEFECTS[sys.argv.pop(1)]()
    sys.exit(flows.cli.main())
