"""The kinds of faults, by name: what happens, at which moments, how often."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from benchmarks.faults import beside, damage, kills, limits
from benchmarks.faults.trial import Trial

Fault = Callable[[Trial, Random, int], str]
"""Given a trial, its random numbers and the last moment: does it, returns where or how."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        fault: What happens; its docstring tells.
        weight: Faults of it for one of a kind that takes long.
        fits: Whether a copy of the undisturbed run's store can be damaged so.
        from_nothing: Whether it can also begin with an empty store.
        mend: What a user is told to do if the loop then is refused.
    """

    fault: Fault
    weight: int = 4
    fits: Callable[[Trial], object] = Trial.manifests
    from_nothing: bool = False
    mend: Callable[[Trial], object] | None = None

    @property
    def what(self) -> str:
        """In words."""
        return str(self.fault.__doc__)


def _has_labels(trial: Trial) -> bool:
    return bool(trial.answers()) and (trial.store / damage.LEDGER).exists()


def _has_record(trial: Trial) -> bool:
    return (trial.store / "runs" / "loop").exists()


KINDS = {
    "kill": Kind(kills.killed, 10, from_nothing=True),
    "kill-thrice": Kind(kills.killed_thrice, 4, from_nothing=True),
    "interrupt": Kind(kills.interrupted, 3, from_nothing=True),
    "kill-with-workers": Kind(kills.killed_with_workers, 4),
    "kill-worker": Kind(kills.worker_killed, 4),
    "kill-ray-worker": Kind(kills.ray_worker_killed, 1),
    "kill-server": Kind(kills.server_killed, 2),
    "kill-with-server": Kind(kills.killed_with_server, 2),
    **{
        f"{what}-{how.__name__.removeprefix('made_a_')}": Kind(made(how), 2)
        for what, made in (
            ("object", damage.object_damaged),
            ("manifest", damage.manifest_damaged),
        )
        for how in damage.DAMAGE
    },
    "model-file-added": Kind(damage.model_file_added, 2),
    "record": Kind(damage.record_damaged, 4, fits=_has_record),
    "checkpoint": Kind(damage.checkpoint_damaged, 8, fits=Trial.checkpoints),
    "ledger": Kind(damage.ledger_damaged, 8, fits=_has_labels, mend=damage.ledger_mended),
    "label": Kind(damage.label_changed, 4, fits=_has_labels, mend=damage.ledger_mended),
    "disk-full": Kind(limits.disk_full, 6, from_nothing=True),
    "file-size": Kind(limits.file_too_large, 4, from_nothing=True),
    "read-only": Kind(limits.read_only, 3),
    "memory": Kind(limits.memory_short, 4, from_nothing=True),
    "clock": Kind(limits.clock_jumped, 4),
    "clock-server": Kind(limits.clock_wrong_with_server, 1),
    "two-runs": Kind(beside.two_runs, 5, from_nothing=True),
    "edit": Kind(beside.edited, 5, mend=beside.raised),
    "gc": Kind(beside.garbage_collected, 3, from_nothing=True),
    "rm": Kind(beside.results_removed, 4),
}


def drawn(count: int, seed: int, names: list[str]) -> list[tuple[str, int]]:
    """(kind, seed) of so many faults: of each kind as many as its weight says, mixed."""
    rng, weights = Random(f"faults/{seed}"), [KINDS[name].weight for name in names]
    total = sum(weights)
    shares = [count * weight // total for weight in weights]
    rest = rng.sample(range(len(names)), min(len(names), count - sum(shares)))
    for at in rest:
        shares[at] += 1
    faults = [(name, seed * 1000 + n) for name, n_of in zip(names, shares, strict=True)
              for n in range(n_of)]  # fmt: skip
    rng.shuffle(faults)
    return faults
