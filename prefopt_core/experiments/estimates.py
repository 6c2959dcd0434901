"""How long the stages of a plan take and how much they write, by earlier ones in the store.

Each planned stage gets the rows that it makes, by what flows pass from stage to stage; its seconds
and bytes are those of the rows of earlier stages of its name, of a policy of about the same size,
whose settings are most like its own. Where there is no such stage, nothing is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from prefopt_core.annotation.settings import AnnotatorConfig
from prefopt_core.experiments.extents import ROWS, Extent, Planned, bytes_of, extents_of, passes
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.cache_key import key_values
from prefopt_core.store.explain import changed_settings
from prefopt_core.store.manifests import Manifest
from prefopt_core.store.store import Store

_LOOKED_AT = 200
"""Manifests of a stage that are read, the newest first."""
_ALIKE = 2.0
"""Two policies are of about the same size if neither is so many times the other."""
_POLICIES = ("load_policy", "train", "accelerate")
_PAIRS = (
    *("pair", "note_consistency", "pair_against_own"),
    *("load_preferences", "draw_replay", "score_preferences", "hold_out"),
)


@dataclass(frozen=True)
class Estimate:
    """What a stage takes.

    Attributes:
        seconds: Of wall time.
        bytes: On the disk.
    """

    seconds: float
    bytes: float


def estimates(stages: Sequence[Planned], store: Store) -> list[Estimate | None]:
    """What each stage of a plan takes; None where nothing in the store says so.

    Args:
        stages: In the order of the plan, those with a result included.
        store: Where earlier ones are looked up.
    """
    earlier = _Earlier(store)
    return [
        None if stage.found else earlier.estimate(stage, extent)
        for stage, extent in extents_of(stages)
    ]


def asked_besides(stages: Sequence[Planned]) -> dict[str, tuple[AnnotatorConfig, int]]:
    """What servers are asked that is no label: `judge` or `grade` → (whom, how many questions).

    Of stages that would run, as far as it is known how many responses there are.
    """
    asked: dict[str, tuple[AnnotatorConfig, int]] = {}
    for stage, extent in extents_of(stages):
        if stage.found or stage.stage not in ("judge", "grade") or not extent.rows:
            continue
        config, prompts = stage.arguments["config"], extent.prompts or 1.0
        if "price_prompt" not in config.params:
            continue
        each = config.asking.labels(round(extent.rows / prompts))
        _, before = asked.get(stage.stage, (config, 0))
        asked[stage.stage] = config, before + round(prompts * each)
    return asked


@dataclass
class _Earlier:
    """What the store has of earlier stages, each read once."""

    store: Store
    _read: dict[str, list[Manifest]] = field(default_factory=dict)

    def estimate(self, stage: Planned, extent: Extent) -> Estimate | None:
        """What a stage takes that makes so much."""
        alike = list(self._alike(stage, extent.policy))
        if stage.stage not in ROWS and alike:  # it takes about as long whatever its size
            mean = sum(m.seconds for m in alike) / len(alike)
            return Estimate(mean, sum(bytes_of(m.output) for m in alike) / len(alike))
        sized = [(m, rows) for m in alike if (rows := self._rows(m))]
        if not sized or extent.rows is None:
            return None
        share = extent.rows / sum(rows for _, rows in sized)
        written = sum(bytes_of(m.output) for m, _ in sized)
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
        size = {output.digest: bytes_of(output) for output in made}.get(used["model"])
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
        return passes(config["steps"], config["batch_size"], config["epochs"], there)


def _settings(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among a stage's inputs, as manifests have them: its config, without the seed."""
    return {name: key_values(value) for name, value in inputs.items() if name == "config"}


def _plain(value: Any) -> bool:
    return hasattr(value, "key_part")
