"""Where results come from: the manifests behind a table or folder, up to prompts and models.

A stage that runs shard by shard leaves a manifest per shard, and none of the whole table that the
next stage names. Such a table is found again by joining what was made of all shards of another one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from prefopt_core.ground.errors import StoreError
from prefopt_core.store.artifacts import Artifact, Folder, canonical_json
from prefopt_core.store.manifests import Manifest
from prefopt_core.store.store import Store


@dataclass(frozen=True)
class Made:
    """A result, and how it was made.

    Attributes:
        output: The table or folder.
        by: The manifest; of a stage that runs shard by shard those of all shards, in order.
    """

    output: Artifact | Folder
    by: tuple[Manifest, ...]

    @property
    def manifest(self) -> Manifest:
        """What made it, or its first shard: all have the same stage and settings."""
        return self.by[0]

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The settings and, if one call made it, the references to tables and folders."""
        return self.manifest.inputs

    @property
    def table(self) -> Artifact:
        """The output, which is a table."""
        assert isinstance(self.output, Artifact)
        return self.output


class Lineage:
    """The manifests of a store, to be followed backwards."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._made: dict[str, Made] = {}
        self._of_shard: dict[str, Made] = {}
        self._users: dict[str, list[Manifest]] = defaultdict(list)
        for manifest in sorted(store.manifests(), key=lambda one: -one.created):
            self._know(Made(manifest.output, (manifest,)))
            for digest in {_digest(each) for each in references(manifest.inputs.values())}:
                self._users[digest].append(manifest)
        self._joins = self._joined()

    def of_stage(self, *stages: str) -> Iterator[Made]:
        """The results of stages that make all of a table at once, the newest first."""
        return (made for made in [*self._made.values()] if made.manifest.stage in stages)

    def made(self, reference: Mapping[str, str]) -> Made:
        """How the result was made that an input of a manifest names.

        Args:
            reference: `{"table": …, "digest": …}` or `{"model": …}`; of a shard: its table.

        Raises:
            StoreError: The store does not know it any more.
        """
        digest = _digest(reference)
        while not (found := self._made.get(digest) or self._of_shard.get(digest)):
            if not (new := next(self._joins, None)):
                raise StoreError(
                    f"The store {self.store} no longer knows how "
                    f"{reference.get('table', 'model')} {digest[:12]} was made: its manifest was "
                    "removed. The command that ran it makes it again."
                )
            self._know(new)
        return found

    def _know(self, made: Made) -> None:
        self._made.setdefault(made.output.digest, made)
        if isinstance(made.output, Artifact) and len(made.output.shards) > 1:
            for number in range(len(made.output.shards)):
                self._of_shard.setdefault(made.output.shard(number).digest, made)

    def _joined(self) -> Iterator[Made]:
        """The tables made shard by shard, from the ones that are known on; each once."""
        waiting = [made.output for made in self._made.values()]
        seen = set(self._made)
        for output in waiting:  # grows
            if isinstance(output, Artifact) and len(output.shards) > 1:
                for made in self._of_all_shards(output):
                    if made.output.digest not in seen:
                        seen.add(made.output.digest)
                        waiting.append(made.output)
                        yield made

    def _of_all_shards(self, table: Artifact) -> Iterator[Made]:
        """What stages made of every shard of a table."""
        by_call: dict[str, list[list[Manifest]]] = defaultdict(list)
        for number in range(len(table.shards)):
            users: dict[str, list[Manifest]] = defaultdict(list)
            for manifest in self._users[table.shard(number).digest]:
                users[_call(manifest)].append(manifest)
            for call, manifests in users.items():
                by_call[call].append(manifests)
        for alternatives in by_call.values():
            # Runs that differ in another table alone: what was made of each shard is as old.
            for parts in zip_longest(*alternatives):
                tables = [p.output for p in parts if p and isinstance(p.output, Artifact)]
                if len(tables) == len(table.shards):
                    shards = tuple(shard for part in tables for shard in part.shards)
                    yield Made(Artifact(table=tables[0].table, shards=shards), parts)


def references(values: Iterable[Any]) -> Iterator[dict[str, str]]:
    """The references to tables and folders among inputs of a manifest."""
    for value in values:
        if isinstance(value, list):
            yield from references(value)
        elif isinstance(value, dict) and value.keys() in ({"table", "digest"}, {"model"}):
            yield value


def _digest(reference: Mapping[str, str]) -> str:
    return reference["digest"] if "digest" in reference else reference["model"]


def _call(manifest: Manifest) -> str:
    """What calls for all shards of a table have in common: all but the tables."""
    settings = {
        name: value
        for name, value in manifest.inputs.items()
        if not any("table" in each for each in references([value]))
    }
    return canonical_json([manifest.stage, manifest.version, settings])


def made_at(store: Store, stage: str, table: Artifact) -> float:
    """When a stage first made a table, in seconds since 1970: the same whenever it is asked."""
    made: dict[Artifact | Folder, float] = {}
    for manifest in store.manifests(stage):  # the newest first, so the first is kept
        made[manifest.output] = manifest.created
    whole = made.get(table)  # a stage by shard has a manifest of each
    parts = (made[table.shard(number)] for number in range(len(table.shards)))
    return whole if whole is not None else max(parts)
