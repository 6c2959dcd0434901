"""Openings of children's stories, as many distinct ones as a run needs.

An opening brings in one hero by name and breaks off in its second sentence:
"Once upon a time, there was a little girl named Lily. She loved to".
"""

from random import Random

import polars as pl
from pydantic import PositiveInt

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.randomness import seed_for
from prefopt_core.inputs.prompts import of_texts

# fmt: off
GIRLS = ("Lily", "Mia", "Sara", "Anna", "Lucy", "Sue", "Emma", "Amy", "Jane", "Molly", "Jenny",
         "Ella")
BOYS = ("Tim", "Tom", "Ben", "Max", "Sam", "Jack", "Timmy", "Billy", "Bob", "Fred", "Joe", "Leo")
ANIMALS = ("Spot", "Fluffy", "Kitty", "Buddy", "Coco", "Rex")
# fmt: on
NAMES = (*GIRLS, *BOYS, *ANIMALS)
HEROES = {
    "girl": ("she", GIRLS),
    "boy": ("he", BOYS),
    "dog": ("he", ANIMALS),
    "cat": ("she", ANIMALS),
    "bird": ("she", ANIMALS),
    "bear": ("he", ANIMALS),
}
"""Kind → how one speaks of it, and its names."""

MANNERS = ("little", "small", "happy", "young", "nice", "smart")
INTRODUCTIONS = (
    "Once upon a time, there was a {manner} {kind} named {name}.",
    "Once there was a {manner} {kind}. The {kind}'s name was {name}.",
    "{name} was a {manner} {kind}.",
    "There was a {manner} {kind} called {name}.",
)
BEGINNINGS = (
    "{she} loved to",
    "{she} wanted to",
    "{she} liked to play with",
    "{she} had a big",
    "{she} was very",
    "{she} lived in a",
    "One day, {she} went to the",
    "One day, {she} saw a",
    "One day, {she} found a",
    "One day, {she} lost",
)
OPENINGS = sum(len(names) for _, names in HEROES.values()) * (
    len(MANNERS) * len(INTRODUCTIONS) * len(BEGINNINGS)
)
"""How many distinct openings there are."""


def openings(count: int, seed: int) -> list[str]:
    """Draw `count` distinct openings; a shorter list is the start of a longer one.

    Raises:
        ConfigError: `count` is not within 0..`OPENINGS`.

    >>> openings(3, seed=0) == openings(5, seed=0)[:3]
    True
    """
    if not 0 <= count <= OPENINGS:
        raise ConfigError(
            f"Cannot write {count} story openings: their number must lie between 0 and "
            f"{OPENINGS}. Ask for fewer, or read prompts from a file."
        )
    every = [
        _write(kind, she, name, manner, introduction, beginning)
        for kind, (she, names) in HEROES.items()
        for name in names
        for manner in MANNERS
        for introduction in INTRODUCTIONS
        for beginning in BEGINNINGS
    ]
    Random(seed_for("stories", "openings", str(seed))).shuffle(every)
    return every[:count]


def load(seed: int, *, count: PositiveInt) -> pl.DataFrame:
    """Write openings of children's stories, for a base model to continue.

    Args:
        seed: Root of the draws.
        count: How many distinct openings, up to 11,520; a smaller count gives the start of a larger
            one's.
    """
    return of_texts(openings(count, seed))


def _write(kind: str, she: str, name: str, manner: str, introduction: str, beginning: str) -> str:
    if not beginning.startswith("{"):
        begun = beginning.format(she=she)
    else:
        begun = beginning.format(she=she.capitalize())
    return f"{introduction.format(kind=kind, name=name, manner=manner)} {begun}"
