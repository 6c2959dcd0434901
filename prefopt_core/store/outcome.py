"""What running a stage came to, and how that reads as a line."""

from dataclasses import dataclass

from prefopt_core.store.artifacts import Artifact, Folder


@dataclass(frozen=True)
class Outcome:
    """The result of a stage, and how many of its parts were found in the store (cache hits).

    Attributes:
        value: The artifact or folder.
        hits: Parts found in the store.
        parts: One, or one per shard.
        reasons: Why each of the other parts was computed.
        seconds: Wall time.
        spent: What model servers were paid for, as text.
    """

    value: Artifact | Folder
    hits: int
    parts: int
    reasons: tuple[str, ...]
    seconds: float
    spent: str = ""

    @property
    def cached(self) -> bool:
        """Whether all parts were found in the store."""
        return self.hits == self.parts

    def __str__(self) -> str:
        size = f"{self.value.rows:,} rows" if isinstance(self.value, Artifact) else "folder"
        made = "hit" if self.cached else f"computed in {self.seconds:.1f} s: {self.reasons[0]}"
        if not self.cached and self.parts > 1:
            made = f"{self.parts - self.hits} of {self.parts} shards {made}"
        spent = f" · {self.spent}" if self.spent else ""
        return f"{made} · {size} · {self.value.digest[:12]}{spent}"
