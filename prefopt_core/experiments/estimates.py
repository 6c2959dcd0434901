"""How long the stages of a plan take and how much they write, by earlier ones in the store.

Each planned stage gets the rows that it makes, by what flows pass from stage to stage; its seconds
and bytes are those of the rows of earlier stages of its name, of a policy of about the same size,
whose settings are most like its own. Where there is no such stage, nothing is said.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from prefopt_core.annotation.settings import AnnotatorConfig
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.cache_key import key_values
from prefopt_core.store.explain import changed_settings
from prefopt_core.store.manifests import Manifest
from prefopt_core.store.store import Store

_LOOKED_AT = 200
"""Manifests of a stage that are read, the newest first."""
_ALIKE = 2.0
"""Two policies are of about the same size if neither is so many times the other."""
_POLICIES = ("load_policy", "train", "accelerate")
_PAIRS = ("pair", "score_preferences", "load_preferences", "pair_against_own")


class Planned(Protocol):
    """A stage that is planned; where another one waits for it, it is among that one's arguments."""

    @property
    def stage(self) -> str:
        """Its name."""

    @property
    def labels(self) -> int:
        """Labels it would buy, at most."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What it would be called with, by name."""

    @property
    def found(self) -> Artifact | Folder | None:
        """Its result, if that is in the store."""


@dataclass(frozen=True)
class Estimate:
    """What a stage takes.

    Attributes:
        seconds: Of wall time.
        bytes: On the disk.
    """

    seconds: float
    bytes: float


@dataclass(frozen=True)
class _Extent:
    """How large what a stage makes is.

    Attributes:
        rows: Of its table; of a policy, the pairs that it is trained on.
        prompts: That they belong to.
        policy: Bytes of the policy that is made, or was used.
    """

    rows: float | None = None
    prompts: float | None = None
    policy: float | None = None


def estimates(stages: Sequence[Planned], store: Store) -> list[Estimate | None]:
    """What each stage of a plan takes; None where nothing in the store says so.

    Args:
        stages: In the order of the plan, those with a result included.
        store: Where earlier ones are looked up.
    """
    earlier = _Earlier(store)
    return [
        None if stage.found else earlier.estimate(stage, extent)
        for stage, extent in _extents(stages)
    ]


def asked_besides(stages: Sequence[Planned]) -> dict[str, tuple[AnnotatorConfig, int]]:
    """What servers are asked that is no label: `judge` or `grade` → (whom, how many questions).

    Of stages that would run, as far as it is known how many responses there are.
    """
    asked: dict[str, tuple[AnnotatorConfig, int]] = {}
    for stage, extent in _extents(stages):
        if stage.found or stage.stage not in ("judge", "grade") or not extent.rows:
            continue
        config, prompts = stage.arguments["config"], extent.prompts or 1.0
        if "price_prompt" not in config.params:
            continue
        each = config.asking.labels(round(extent.rows / prompts))
        _, before = asked.get(stage.stage, (config, 0))
        asked[stage.stage] = config, before + round(prompts * each)
    return asked


def _extents(stages: Sequence[Planned]) -> Iterator[tuple[Planned, _Extent]]:
    extents: dict[Any, _Extent] = {}
    for stage in stages:
        inputs = {name: _known(value, extents) for name, value in stage.arguments.items()}
        extents[_key(stage.found or stage)] = extent = _extent(stage, inputs)
        yield stage, extent


def _key(value: Any) -> Any:
    return value.digest if isinstance(value, Artifact | Folder) else id(value)


def _known(value: Any, extents: Mapping[Any, _Extent]) -> list[_Extent]:
    """The extents of the tables and policies of one argument."""
    if isinstance(value, list | tuple):
        return [extent for each in value for extent in _known(each, extents)]
    if isinstance(value, Folder):
        return [_Extent(policy=_bytes_of(value))]
    known = extents.get(_key(value))
    if isinstance(value, Artifact):
        return [_Extent(value.rows, known.prompts if known else None)]
    return [known] if known else []


def _bytes_of(output: Artifact | Folder) -> int:
    if isinstance(output, Folder):
        return sum(file.size for file in output.files)
    return sum(shard.size for shard in output.shards)


_Inputs = Mapping[str, list[_Extent]]


def _extent(stage: Planned, inputs: _Inputs) -> _Extent:
    every = [extent for own in inputs.values() for extent in own]
    policy = next((e.policy for e in every if e.policy is not None), None)
    prompts = next((e.prompts for e in every if e.prompts is not None), None)
    if isinstance(stage.found, Folder):
        return _Extent(policy=_bytes_of(stage.found))
    if isinstance(stage.found, Artifact):
        rows: float | None = stage.found.rows
    else:
        rule = _ROWS.get(stage.stage)
        rows = rule(stage, inputs, prompts) if rule else None
    own = rows if stage.stage in _DEALT else prompts
    return _Extent(rows, own, policy)


def _counted(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    count = stage.arguments["count"]
    there = _rows_in(inputs, "prompts")
    if count is None and there is not None:
        return max(1.0, there - stage.arguments["first"])
    return None if count is None else float(count)


def _loaded(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return stage.arguments["config"].params.get("count")


def _generated(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return _times(_rows_in(inputs, "prompts"), stage.arguments["config"].n)


def _selected(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return _times(prompts, stage.arguments["config"].k)


def _bought(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return float(stage.labels)


def _paired(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return prompts


def _trained(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    config = stage.arguments["config"]
    return _passes(config.steps, config.batch_size, config.epochs, _rows_in(inputs, "preferences"))


def _as_many_as(name: str) -> "_Rule":
    return lambda stage, inputs, prompts: _rows_in(inputs, name)


_Rule = Callable[[Planned, _Inputs, float | None], float | None]
_DEALT = ("load_prompts", "draw_prompts", "take_prompts")
_ROWS: dict[str, _Rule] = {
    "load_prompts": _loaded,
    "draw_prompts": _counted,
    "take_prompts": _counted,
    "embed_prompts": _as_many_as("prompts"),
    "generate": _generated,
    "embed": _as_many_as("candidates"),
    "estimate": _as_many_as("candidates"),
    "select": _selected,
    "select_pairs": lambda stage, inputs, prompts: _times(prompts, 2),
    "score": _as_many_as("selections"),
    "annotate": _bought,
    "judge": _as_many_as("selections"),
    "grade": _as_many_as("responses"),
    "pair": _paired,
    "score_preferences": _as_many_as("preferences"),
    "train": _trained,
}
"""Stage → the rows that it makes: about one pair a prompt; of a policy, the pairs trained on."""


def _rows_in(inputs: _Inputs, name: str) -> float | None:
    """Rows of the tables of one argument; None if one is not known."""
    rows = [extent.rows for extent in inputs.get(name, ())]
    return None if None in rows or not rows else sum(row for row in rows if row is not None)


def _times(count: float | None, each: float) -> float | None:
    return None if count is None else count * each


def _passes(steps: int | None, batch: int, epochs: float, pairs: float | None) -> float | None:
    """Pairs that an optimiser sees."""
    return float(steps * batch) if steps else _times(pairs, epochs)


@dataclass
class _Earlier:
    """What the store has of earlier stages, each read once."""

    store: Store
    _read: dict[str, list[Manifest]] = field(default_factory=dict)

    def estimate(self, stage: Planned, extent: _Extent) -> Estimate | None:
        """What a stage takes that makes so much."""
        alike = list(self._alike(stage, extent.policy))
        if stage.stage not in _ROWS and alike:  # it takes about as long whatever its size
            mean = sum(m.seconds for m in alike) / len(alike)
            return Estimate(mean, sum(_bytes_of(m.output) for m in alike) / len(alike))
        sized = [(m, rows) for m in alike if (rows := self._rows(m))]
        if not sized or extent.rows is None:
            return None
        share = extent.rows / sum(rows for _, rows in sized)
        written = sum(_bytes_of(m.output) for m, _ in sized)
        size = written / len(sized) if stage.stage == "train" else written * share
        return Estimate(share * sum(m.seconds for m, _ in sized), size)

    def _manifests(self, stage: str) -> list[Manifest]:
        if stage not in self._read:
            self._read[stage] = list(islice(self.store.manifests(stage), _LOOKED_AT))
        return self._read[stage]

    def _alike(self, stage: Planned, policy: float | None) -> Iterator[Manifest]:
        """Those of the fewest differences in settings, of a policy of about the same size."""
        mine = _settings({n: v for n, v in stage.arguments.items() if _plain(v)})
        fit = [m for m in self._manifests(stage.stage) if self._fits(m, policy)]
        differing = [len(changed_settings(_settings(m.inputs), mine)) for m in fit]
        least = min(differing, default=0)
        return (m for m, count in zip(fit, differing, strict=True) if count == least)

    def _fits(self, manifest: Manifest, policy: float | None) -> bool:
        used = manifest.inputs.get("policy")
        if not used:
            return True
        made = [m.output for stage in _POLICIES for m in self._manifests(stage)]
        size = {output.digest: _bytes_of(output) for output in made}.get(used["model"])
        return bool(size and policy and max(size, policy) <= _ALIKE * min(size, policy))

    def _rows(self, manifest: Manifest) -> float | None:
        if isinstance(manifest.output, Artifact):
            return manifest.output.rows
        config = manifest.inputs.get("config", {})
        if manifest.stage != "train":
            return None
        pairs = {
            m.output.digest: m.output.rows
            for stage in _PAIRS
            for m in self._manifests(stage)
            if isinstance(m.output, Artifact)
        }
        rows = [pairs.get(table["digest"]) for table in manifest.inputs["preferences"]]
        there = None if None in rows else sum(row for row in rows if row is not None)
        return _passes(config["steps"], config["batch_size"], config["epochs"], there)


def _settings(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among a stage's inputs, as manifests have them: its config, without the seed."""
    return {name: key_values(value) for name, value in inputs.items() if name == "config"}


def _plain(value: Any) -> bool:
    return hasattr(value, "key_part")
