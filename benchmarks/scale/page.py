"""From what was measured at two sizes to what it would be at another, and to a page."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.scale.pools import COUNT
from benchmarks.scale.tables import LABELS, TOKENS, D, Figures, N
from prefopt_core.labels.asked import DESCRIBED
from prefopt_core.store.leases import LASTS

Measured = Mapping[str, Mapping[int, Figures]]
"""Name of a measurement → size → its figures."""

_SHARD = 64
TARGETS = {
    "rows": 10**6,
    "prompts": 10**6,
    "budget": 10**6,
    "shards": 10**6 // _SHARD,
    "requests": 10**6 // _SHARD,
    "workers": 10**6 // _SHARD,
    "pools": 10**8,
    "desk": 10**6,
    "labels": 10**6,
}
"""The size at which each is wanted."""
_BY_POWER = "pools"
"""Whose seconds grow faster than rows; the others are taken to grow in a straight line."""
_CONSTANT = ("answer seconds", "buy seconds", "manifest bytes")
_PLAIN = {"GPUs": 100, "people": 100, "shard": 60.0, "label": 30.0}
"""What is assumed: seconds of a shard's work and of a person's label."""


@dataclass(frozen=True)
class Figure:
    """What was measured at two sizes.

    Attributes:
        name: Ends with its unit: seconds, mb, bytes, or none for a number.
        sizes: The smaller and the larger.
        values: At these.
        target: The size that is wanted.
        power: Whether it grows by a power of the size.
    """

    name: str
    sizes: tuple[int, int]
    values: tuple[float, float]
    target: int
    power: bool

    @property
    def each(self) -> float:
        """What one more of the size adds; memory that shrank adds nothing."""
        added = self.values[1] - self.values[0]
        return max(0.0, added / (self.sizes[1] - self.sizes[0]))

    @property
    def exponent(self) -> float:
        """How it grows, between the two sizes; at least in proportion."""
        return max(1.0, math.log(self.values[1] / self.values[0], self.sizes[1] / self.sizes[0]))

    @property
    def there(self) -> float:
        """At the size that is wanted."""
        if self.name.endswith(_CONSTANT):
            return self.values[1]
        if self.power:
            return float(self.values[1] * (self.target / self.sizes[1]) ** self.exponent)
        return self.values[1] + self.each * (self.target - self.sizes[1])

    def __format__(self, what: str) -> str:
        """`here`, as measured at the larger size, `there`, or `each`."""
        value = {"here": self.values[1], "there": self.there, "each": self.each}[what]
        return in_units(value, self.name)


def in_units(value: float, name: str) -> str:
    """Two digits and a unit.

    >>> in_units(348_900, "annotate mb"), in_units(0.0049, "seconds"), in_units(131, "computed")
    ('350 GB', '4.9 ms', '130')
    """
    if name.endswith("mb"):
        return _scaled(value * 1e6, (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)), "bytes")
    if name.endswith("bytes"):
        return _scaled(value, (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)), "bytes")
    if name.endswith("seconds"):
        steps = (("days", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3))
        return _scaled(value, steps, "µs" if value else "s", 1e-6)
    return _digits(value)


def _scaled(
    value: float, steps: tuple[tuple[str, float], ...], least: str, of_least: float = 1.0
) -> str:
    for unit, size in steps:
        if value >= size:
            return f"{_digits(value / size)} {unit}"
    return f"{_digits(value / of_least)} {least}"


def _digits(value: float) -> str:
    if not value:
        return "0"
    places = 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):,.{max(0, places)}f}"


def figures_of(measured: Measured) -> dict[str, dict[str, Figure]]:
    """Name of a measurement → name of a figure → it."""
    found: dict[str, dict[str, Figure]] = {}
    for name, by_size in measured.items():
        small, large = sorted(by_size)
        found[name] = {
            figure: Figure(
                figure,
                (small, large),
                (value, by_size[large][figure]),
                TARGETS[name],
                name == _BY_POWER and figure.endswith("seconds"),
            )
            for figure, value in by_size[small].items()
        }
    return found


def page(measured: Measured, machine: str) -> str:
    """The page, from the template beside this file."""
    found = figures_of(measured)
    gpus, shard = _PLAIN["GPUs"], _PLAIN["shard"]
    driver = found["workers"]["driver seconds"].each
    answer = found["desk"]["answer seconds"].there
    sizes = {f"{name}_at": f"{max(by_size):,}" for name, by_size in measured.items()}
    described = replace(found["rows"]["page mb"], target=DESCRIBED // N)
    derived = {
        "bought": f"{LABELS:,}",
        "chosen": f"{COUNT:,}",
        "described": f"{DESCRIBED:,}",
        "page_mb": f"{described:there}",
        "tokens": f"{TOKENS:,}",
        "d": f"{D:,}",
        "people": f"{_PLAIN['people']:,}",
        "per_prompt": N,
        "shards_there": f"{TARGETS['shards']:,}",
        "driver_share": f"{gpus / shard * driver:.1%}".replace("%", " %"),
        "gpus_at_most": _digits(shard / driver),
        "shard_seconds": f"{shard:.0f}",
        # Renewed as often as `store.leases` does, which reads and writes.
        "lease_requests": _digits(gpus * 2 / (LASTS / 6)),
        "label_seconds": f"{_PLAIN['label']:.0f}",
        "labels_a_second": _digits(_PLAIN["people"] / _PLAIN["label"]),
        "desk_a_second": _digits(1 / answer),
        "people_hours": in_units(
            TARGETS["labels"] * _PLAIN["label"] / _PLAIN["people"], "seconds"
        ).replace("days", "days and nights"),
        "machine": machine,
    }
    template = (Path(__file__).parent / "page.md").read_text()
    return template.format(**found, **sizes, **derived)
