"""Defects to plant in the code of a run, which a campaign has to find: `--plant NAME`.

    python -m benchmarks.faults --plant digests --only object-flipped --faults 6

A campaign that finds none of them would find nothing else either.
"""

import sys
from collections.abc import Callable
from typing import Any

import flows.cli


def _digests() -> None:
    """Damaged objects are taken for whole."""
    from prefopt_core.store import intact

    _replace(intact, "_is_intact", lambda path, expected: path.exists())


def _labels() -> None:
    """Labels that were bought are not found again."""
    from prefopt_core.labels.purchase import Purchase

    _replace(Purchase, "known", lambda self: {})


def _checkpoints() -> None:
    """A checkpoint counts whatever is in it."""
    from prefopt_core.training import resume

    _replace(resume, "_is_whole", lambda checkpoint: (checkpoint / resume.MARKER).exists())


def _budget() -> None:
    """Whatever is to be bought fits into the budget, and all is left of it."""
    from prefopt_core.labels.account import Account

    _replace(Account, "_check", lambda self, balance, labels, cost: None)
    _replace(Account, "affordable", lambda self, price: self.allowance.labels)


def _hits() -> None:
    """What was finished is never found."""
    from prefopt_core.store.stage import Stage

    _replace(Stage, "_lookup", lambda *asked: (None, "not made yet"))


def _replace(owner: object, name: str, defect: Callable[..., Any]) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more"
    setattr(owner, name, defect)


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
