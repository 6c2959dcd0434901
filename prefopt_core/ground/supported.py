"""Which versions of other packages prefopt works with, by its own metadata, and which are here.

pyproject.toml says both: what is required, with its ranges, and under the extra `tried` up to which
release it was tried with the packages whose inner parts it leans on.
"""

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.version import Version

from prefopt_core.ground.errors import ConfigError

DISTRIBUTION = "prefopt-flows"
TRIED = "tried"


def requirements(extra: str = "") -> list[Requirement]:
    """The unconditional requirements of prefopt, or those that an extra adds.

    Raises:
        PackageNotFoundError: It is not installed.
    """
    every = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    always = [each for each in every if not each.marker or each.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    with_extra = [each for each in every if each.marker and each.marker.evaluate({"extra": extra})]
    return [each for each in with_extra if each not in always]


def lacking(requirement: Requirement, judged: str = "is supported") -> str:
    """What is wrong with the version that is installed; "" if nothing is.

    A preview counts as its release: torch that a vendor or you built from source is 2.13.0a0+….

    Args:
        requirement: A package and its range.
        judged: What is said of the versions in that range.
    """
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(Version(version).base_version):
        return ""
    return f"{requirement.name} {version} is installed, {requirement.specifier} {judged}"


def install(requirement: Requirement) -> str:
    """The command that brings a version in the range."""
    return f"pip install '{requirement.name}{requirement.specifier}'"


def newer_than_tried() -> Iterator[tuple[Requirement, str]]:
    """What is here in a later release than was tried, and what is to be said of it."""
    for requirement in requirements(TRIED):
        if words := lacking(requirement, "was tried"):
            yield requirement, words


def doubts_of_versions() -> list[str]:
    """What is here in a later release than was tried, a sentence each; nothing if all is well.

    Raises:
        ConfigError: Of the packages on whose inner parts prefopt leans one is missing, or in a
            version that is not supported.
    """
    try:
        leaned_on = {each.name for each in requirements(TRIED)}
    except metadata.PackageNotFoundError:  # a checkout on the path: nothing is known of ranges
        return []
    needed = [each for each in requirements() if each.name in leaned_on]
    wrong = [f"{words}: {install(each)}" for each in needed if (words := lacking(each))]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return [
        f"{words}. If a run fails or differs: {install(each)}" for each, words in newer_than_tried()
    ]
