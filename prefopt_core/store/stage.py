"""Cached stages: the cache key of a stage's inputs, and computing its result or finding it.

    cache key = sha256 of {stage, version, settings that may change the result, digests of inputs}

Works without an orchestrator; `tasks/stage.py` runs stages as Prefect tasks.
"""

import logging
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.ground.spending import spend
from prefopt_core.store.artifacts import Artifact, Folder, sha256_of
from prefopt_core.store.cache_key import Keyed, key_values
from prefopt_core.store.coming import Coming, tables_in
from prefopt_core.store.explain import changes_since, nearest
from prefopt_core.store.jobs import Job, Runner
from prefopt_core.store.manifests import Manifest
from prefopt_core.store.opening import bound, opened, speed_only
from prefopt_core.store.outcome import Outcome
from prefopt_core.store.running import role, running_in
from prefopt_core.store.store import Store
from prefopt_core.store.versions import versions

log = logging.getLogger(__name__)

_REFRESH = "refresh asked for"

Missing = tuple[int, dict[str, Any], str]
"""A part that is to be computed: its number, its arguments, why."""


@dataclass(frozen=True)
class Stage:
    """A named, versioned function whose results live in the store.

    Attributes:
        name: Name in messages, and of the folder of its manifests.
        function: Returns a frame, a list of frames (the shards of one table), or the path of a
            folder inside `workspace()`. Its arguments are opened by parameter type, see
            `store.opening`; those marked `SpeedOnly` are in no cache key.
        version: Raised by hand, in the commit that changes what the function returns.
        table: The contract of the frame; None if the function returns a folder.
        by_shard: Call the function once per shard of its inputs instead of once.
        labels: For a stage that buys labels: a function of the same parameters, or some of them,
            that returns the number it would buy.
        local: A function of some of the same parameters: whether it asks a server, and so stays in
            the process of the run, which waits for others anyway and holds the budget.
    """

    name: str
    function: Callable[..., pl.DataFrame | list[pl.DataFrame] | Path]
    version: int
    table: str | None
    by_shard: bool = False
    labels: Callable[..., int] | None = None
    local: Callable[..., bool] | None = None

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Arguments by parameter name, as `store.opening.bound` returns them."""
        return bound(self.function, args, kwargs)

    def inputs(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as they enter the cache key, as JSON values, without `SpeedOnly` ones."""
        left_out = speed_only(self.function)
        return {name: key_values(v) for name, v in arguments.items() if name not in left_out}

    def limits(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments that can `cut_short` the result: `SpeedOnly` ones with a part for a key."""
        left_out = speed_only(self.function)
        return {
            name: value.key_part()
            for name, value in arguments.items()
            if name in left_out and isinstance(value, Keyed)
        }

    def key(self, inputs: Mapping[str, Any]) -> str:
        """The cache key: digest of name, version and inputs."""
        return sha256_of({"stage": self.name, "version": self.version, "inputs": inputs})

    def count(self, arguments: Mapping[str, Any]) -> int:
        """How many times the function is called: once, or once per shard of the inputs."""
        if not self.by_shard:
            return 1
        counts = {table.parts for table in tables_in(arguments).values()}
        assert len(counts) == 1, f"{self.name}: inputs of {sorted(counts)} shards do not match"
        return counts.pop()

    def parts(self, arguments: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
        """The arguments of each call, and its inputs; waits for shards that are still `Coming`."""
        tables = tables_in(arguments) if self.by_shard else {}
        # What all have in common is put together once.
        shared = self.inputs({n: value for n, value in arguments.items() if n not in tables})
        for number in range(self.count(arguments)):
            own = {name: table.shard(number) for name, table in tables.items()}
            yield {**arguments, **own}, shared | self.inputs(own)

    def stays(self, store: Store, arguments: Mapping[str, Any]) -> str:
        """Why it is computed in the process of the run, not sent to a worker; "" if it can be."""
        if self.labels is not None:
            return "it buys labels"
        if self.local is not None and self.local(**opened(self.local, store, arguments)):
            return "it asks a server"
        if self.function.__module__ == "__main__" or "<" in self.function.__qualname__:
            return "no other process can import its function"
        return ""

    def labels_wanted(self, store: Store, arguments: Mapping[str, Any]) -> int:
        """How many labels a run would buy; 0 for a stage that buys none."""
        return self.labels(**opened(self.labels, store, arguments)) if self.labels else 0

    def find(self, store: Store, arguments: Mapping[str, Any]) -> Outcome | str:
        """Look the result up: the outcome if all of it is in the store, else why not."""
        outputs: list[Artifact | Folder] = []
        total, missing = self.count(arguments), ""
        for part, inputs in self.parts(arguments):
            manifest, reason = self._lookup(store, part, inputs, total)
            if manifest:
                outputs.append(manifest.output)
            else:
                missing = missing or self._why(store, part, reason)
        if missing and total > 1:
            return f"{total - len(outputs)} of {total} shards: {missing}"
        if missing:
            return missing
        return Outcome(self._join(outputs), total, total, (), 0.0)

    def run(
        self,
        store: Store,
        arguments: Mapping[str, Any],
        *,
        refresh: bool = False,
        on_part: Callable[[int, int], None] = lambda done, total: None,
        runner: Runner | None = None,
        coming: Coming | None = None,
    ) -> Outcome:
        """Return the stored result, or compute and commit what is missing of it, shard by shard.

        Args:
            store: Where results live.
            arguments: By name, from `bind`; the tables of a stage by shard may be `Coming`.
            refresh: Compute the result even if it is in the store.
            on_part: Progress callback: called with (shards finished, shards) before each shard
                that is computed and at the end.
            runner: Computes shards in other processes; None: one after the other in this one.
            coming: Is told of each shard of a stage by shard, for stages that wait for it.
        """
        started = time.perf_counter()
        total = self.count(arguments)
        outputs: dict[int, Artifact | Folder] = {}
        coming = coming or Coming(self.name)

        def take(number: int, output: Artifact | Folder) -> None:
            outputs[number] = output
            if self.by_shard:
                coming.put(number, output)
            on_part(len(outputs), total)

        if self.by_shard:  # else one call may write several shards
            coming.begin(total)
        on_part(0, total)
        missing = self._missing(store, arguments, total, refresh, take)
        reasons: list[str] = []
        for number, output, reason in self._computed(store, missing, total, runner):
            reasons += [reason] if reason else []
            take(number, output)
        seconds = time.perf_counter() - started
        joined = self._join([outputs[number] for number in range(total)])
        return Outcome(joined, total - len(reasons), total, tuple(reasons), seconds)

    def _missing(
        self,
        store: Store,
        arguments: Mapping[str, Any],
        total: int,
        refresh: bool,
        take: Callable[[int, Artifact | Folder], None],
    ) -> Iterator[Missing]:
        """The parts that are to be computed; `take` is told of the others."""
        first = True
        for number, (part, inputs) in enumerate(self.parts(arguments)):
            manifest, reason = self._lookup(store, part, inputs, total)
            if manifest and not refresh:
                take(number, manifest.output)
                continue
            reason = _REFRESH if refresh else reason
            # Reading earlier manifests costs more than a small shard: of the first one only.
            yield number, part, self._why(store, part, reason) if first else reason
            first = False

    def _computed(
        self, store: Store, missing: Iterator[Missing], total: int, runner: Runner | None
    ) -> Iterator[tuple[int, Artifact | Folder, str]]:
        """(number, output, reason) of each missing part, in order."""
        if runner is None:
            for number, part, reason in missing:
                yield number, *self.compute(store, part, reason)
            return
        jobs = [self._job(store, each, total) for each in missing]
        for job, done in zip(jobs, runner.map(jobs) if jobs else (), strict=True):
            spend(done.spent)
            yield job.number - 1, done.output, done.reason

    def _job(self, store: Store, missing: Missing, total: int) -> Job:
        number, part, reason = missing
        return Job(
            stage=self.name,
            function=f"{self.function.__module__}:{self.function.__qualname__}",
            arguments=part,
            key=self.key(self.inputs(part)),
            reason=reason,
            store=str(store),
            role=role(),
            number=number + 1,
            parts=total,
        )

    def _join(self, outputs: list[Artifact | Folder]) -> Artifact | Folder:
        if self.table is None:
            return outputs[0]
        shards = tuple(shard for o in outputs if isinstance(o, Artifact) for shard in o.shards)
        return Artifact(table=self.table, shards=shards)

    def _put(
        self, store: Store, made: pl.DataFrame | list[pl.DataFrame] | Path
    ) -> Artifact | Folder:
        if isinstance(made, Path):
            return store.put_folder(made)
        assert self.table is not None, f"{self.name} returned a table, not a model"
        frames = made if isinstance(made, list) else [made]
        shards = tuple(store.put_table(self.table, frame) for frame in frames)
        return Artifact(table=self.table, shards=shards)

    def _lookup(
        self,
        store: Store,
        arguments: Mapping[str, Any],
        inputs: Mapping[str, Any],
        parts: int = 1,
    ) -> tuple[Manifest | None, str]:
        """The whole result, else one that the same limits cut short; else None, and why."""
        limits = self.limits(arguments)
        manifest, reason = store.lookup(self.name, self.key(inputs), parts)
        if manifest is None and limits:
            manifest, _ = store.lookup(self.name, self.key({**inputs, **limits}), parts)
        return manifest, reason

    def compute(
        self, store: Store, arguments: Mapping[str, Any], reason: str
    ) -> tuple[Artifact | Folder, str]:
        """Compute and commit one part, unless another process was faster: then the reason is ""."""
        inputs = self.inputs(arguments)
        key = self.key(inputs)  # whose lock and work folder a result that is cut short has, too
        with store.in_use(), store.claimed(self.name, key):
            manifest, _ = self._lookup(store, arguments, inputs)
            if manifest and reason != _REFRESH:  # another process was faster
                return manifest.output, ""
            started = time.perf_counter()
            work = store.root / "work" / f"{self.name}-{key[:16]}"
            with running_in(store, work) as cut:
                output = self._put(store, self.function(**opened(self.function, store, arguments)))
                if cut:
                    inputs |= self.limits(arguments)
                standing = store.put_manifest(
                    Manifest(
                        stage=self.name,
                        version=self.version,
                        key=self.key(inputs),
                        inputs=inputs,
                        output=output,
                        made_with=versions(),
                        created=time.time(),
                        seconds=time.perf_counter() - started,
                        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                        role=role(),
                    ),
                    refresh=reason == _REFRESH,
                )
            # Only after the commit: until then, a run after a crash resumes from this folder.
            shutil.rmtree(work, ignore_errors=True)
            return standing.output, reason

    def _why(self, store: Store, arguments: Mapping[str, Any], reason: str) -> str:
        """The reason for a cache miss: what differs from the most similar earlier result."""
        # Of the same role only: a round's responses differ from those for evaluation by design.
        if reason != "not made yet":
            return reason
        inputs, limits = self.inputs(arguments), self.limits(arguments)
        earlier = (m for m in store.manifests(self.name) if m.role in ("", role()))
        return nearest(changes_since(m, self.version, inputs, limits) for m in islice(earlier, 200))
