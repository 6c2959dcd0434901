"""Marks of settings that are more than a plain value: what a registry makes of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shipped:
    """Mark of an `InputPath` that may also say the name of a file of ours, without its ending.

    Its content is in the cache key, as that of a user's file: once we edit it, it is another one.

    Attributes:
        folder: Where our files lie.
        ending: Of their names, such as ".jinja".
    """

    folder: Path
    ending: str

    def names(self) -> list[str]:
        """The names of our files."""
        files = sorted(self.folder.glob(f"*{self.ending}"))
        return [file.name.removesuffix(self.ending) for file in files]

    def path(self, value: str) -> Path:
        """The user's file of that path, or ours of that name; it need not be there."""
        return self.folder / f"{value}{self.ending}" if value in self.names() else Path(value)


@dataclass(frozen=True)
class Sections:
    """Mark of a setting of a member that lists sections of a config.

    Files that these name count by their content, and relative ones start from the config's folder.

    Attributes:
        kind: Their class.
    """

    kind: Any
