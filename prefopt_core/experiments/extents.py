"""How large is what each stage of a plan makes: rows, prompts and policies, before it runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prefopt_core.store.artifacts import Artifact, Folder


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
class Extent:
    """How large what a stage makes is.

    Attributes:
        rows: Of its table; of a policy, the pairs that it is trained on.
        prompts: That they belong to.
        policy: Bytes of the policy that is made, or was used.
    """

    rows: float | None = None
    prompts: float | None = None
    policy: float | None = None


def extents_of(stages: Sequence[Planned]) -> Iterator[tuple[Planned, Extent]]:
    """Each stage of a plan, in order, and how large what it makes will be."""
    extents: dict[Any, Extent] = {}
    for stage in stages:
        inputs = {name: _known(value, extents) for name, value in stage.arguments.items()}
        extents[_key(stage.found or stage)] = extent = _extent(stage, inputs)
        yield stage, extent


def _key(value: Any) -> Any:
    return value.digest if isinstance(value, Artifact | Folder) else id(value)


def _known(value: Any, extents: Mapping[Any, Extent]) -> list[Extent]:
    """The extents of the tables and policies of one argument."""
    if isinstance(value, list | tuple):
        return [extent for each in value for extent in _known(each, extents)]
    if isinstance(value, Folder):
        return [Extent(policy=bytes_of(value))]
    known = extents.get(_key(value))
    if isinstance(value, Artifact):
        return [Extent(value.rows, known.prompts if known else None)]
    return [known] if known else []


def bytes_of(output: Artifact | Folder) -> int:
    """Bytes of a table or folder on the disk."""
    if isinstance(output, Folder):
        return sum(file.size for file in output.files)
    return sum(shard.size for shard in output.shards)


_Inputs = Mapping[str, list[Extent]]


def _extent(stage: Planned, inputs: _Inputs) -> Extent:
    every = [extent for own in inputs.values() for extent in own]
    policy = next((e.policy for e in every if e.policy is not None), None)
    prompts = next((e.prompts for e in every if e.prompts is not None), None)
    if isinstance(stage.found, Folder):
        return Extent(policy=bytes_of(stage.found))
    if isinstance(stage.found, Artifact):
        rows: float | None = stage.found.rows
    else:
        rule = ROWS.get(stage.stage)
        rows = rule(stage, inputs, prompts) if rule else None
    own = rows if stage.stage in _DEALT else prompts
    return Extent(rows, own, policy)


def _counted(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    count = stage.arguments["count"]
    there = _rows_in(inputs, "prompts")
    if count is None and there is not None:
        return max(1.0, there - stage.arguments["first"])
    return None if count is None else float(count)


def _loaded(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    params = stage.arguments["config"].params
    return params.get("count") or params.get("limit")


def _generated(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return _times(_rows_in(inputs, "prompts"), stage.arguments["config"].n)


def _selected(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    if stage.arguments["config"].strategy == "west_of_n":
        return _rows_in(inputs, "candidates")
    return _times(prompts, stage.arguments["config"].k)


def _bought(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return float(stage.labels)


def _paired(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return prompts


def _replayed(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    share = stage.arguments["share"]
    return _times(_rows_in(inputs, "pairs"), share / (1 - share))


def _held_out(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    # of pairs that were judged none is held out, and most rounds with labels have no others
    share = stage.arguments["share"]
    part = share if stage.arguments["part"] == "held out" else 1 - share
    return _times(_rows_in(inputs, "pairs"), part)


def _averaged(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    return _times(_rows_in(inputs, "logps"), 1 / len(stage.arguments["logps"]))


def _trained(stage: Planned, inputs: _Inputs, prompts: float | None) -> float | None:
    config = stage.arguments["config"]
    return passes(config.steps, config.batch_size, config.epochs, _rows_in(inputs, "preferences"))


def _as_many_as(name: str) -> "_Rule":
    return lambda stage, inputs, prompts: _rows_in(inputs, name)


_Rule = Callable[[Planned, _Inputs, float | None], float | None]
_DEALT = ("load_prompts", "draw_prompts", "take_prompts")
ROWS: dict[str, _Rule] = {
    "load_prompts": _loaded,
    "draw_prompts": _counted,
    "take_prompts": _counted,
    "embed_prompts": _as_many_as("prompts"),
    "generate": _generated,
    "embed": _as_many_as("candidates"),
    "embed_by_policy": _as_many_as("candidates"),
    "estimate": _as_many_as("candidates"),
    "select": _selected,
    "select_pairs": lambda stage, inputs, prompts: _times(prompts, 2),
    "score": _as_many_as("selections"),
    "annotate": _bought,
    "judge": _as_many_as("selections"),
    "gather_responses": _as_many_as("responses"),
    "gather_prompts": lambda stage, inputs, prompts: prompts,
    "grade": _as_many_as("responses"),
    "pair": _paired,
    "note_consistency": _as_many_as("pairs"),
    "hold_out": _held_out,
    "mean_logps": _averaged,
    "calibrate": _as_many_as("judgments"),
    "draw_replay": _replayed,
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


def passes(steps: int | None, batch: int, epochs: float, pairs: float | None) -> float | None:
    """Pairs that an optimiser sees; None where it is not known how many there are."""
    return float(steps * batch) if steps else _times(pairs, epochs)
