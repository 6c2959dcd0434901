"""Keys of stages: what they depend on, and how a difference is told."""

import hashlib
import inspect
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.ground.tables import empty
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.store.artifacts import Artifact, File, Folder, Shard
from prefopt_core.store.stage import Stage
from prefopt_core.training.settings import TrainingConfig

KEY_PROGRAM = """
from prefopt_core.store.artifacts import Artifact, Shard
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.store.stage import Stage

stage = Stage("select", lambda candidates, config, seed: None, 3, "selections")
shards = (Shard(sha256="0" * 64, size=1, rows=1),)
config = SelectionConfig(params={"diversity_weight": 0.5})
arguments = stage.bind(Artifact(table="candidates", shards=shards), config, seed=7)
print(stage.key(stage.inputs(arguments)))
"""


def keyed(name="select", version=3, **arguments):
    def function(batch_size: SpeedOnly[int] = 8, **others):
        raise AssertionError("a key is made without a call")

    made = Stage(name, function, version, "selections")
    return made.key(made.inputs(arguments))


def source(digit="0", table="candidates"):
    return Artifact(table=table, shards=(Shard(sha256=digit * 64, size=1, rows=1),))


# --- keys -------------------------------------------------------------------------------------


def test_key_is_the_digest_of_stage_version_and_inputs():
    prompts = hashlib.sha256(f'["{"0" * 64}"]'.encode()).hexdigest()
    inputs = f'"path":"\\u03bb","policy":null,"prompts":{{"digest":"{prompts}","table":"prompts"}}'
    inputs += ',"settings":{"on":true,"weights":[0.1,1e-30]}'
    written = f'{{"inputs":{{{inputs}}},"stage":"select","version":3}}'
    settings = {"weights": [0.1, 1e-30], "on": True}
    key = keyed(prompts=source(table="prompts"), policy=None, settings=settings, path="λ")
    assert key == hashlib.sha256(written.encode()).hexdigest()
    # A change here makes every result in every store unfindable.
    assert key == "cce7d34796a38822f12c7f5b6ed8452f6380495ea4f48d08513921507a07cfd8"


@pytest.mark.slow
def test_key_is_the_same_in_every_process(run_code):
    keys = {run_code(KEY_PROGRAM, PYTHONHASHSEED=seed).strip() for seed in ("1", "2")}
    config = SelectionConfig(params={"diversity_weight": 0.5})
    assert keys == {keyed(candidates=source(), config=config, seed=7)}


ARGUMENTS = {
    "candidates": source(),
    "policy": Folder(files=()),
    "embeddings": [source(), source("1")],
    "config": {"k": 2, "params": {"weight": 1.0}},
    "seed": 0,
    "batch_size": 8,
}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "embed"},
        {"version": 4},
        {"candidates": source("1")},
        {"candidates": source(table="prompts")},
        {"candidates": None},
        {"policy": Folder(files=(File(name="w", sha256="0" * 64, size=1),))},
        {"embeddings": [source("1"), source()]},
        {"embeddings": [source()]},
        {"config": {"k": 3, "params": {"weight": 1.0}}},
        {"config": {"k": 2, "params": {"weight": 1}}},
        {"config": {"k": 2, "params": {"weight": "1.0"}}},
        {"config": {"k": 2, "params": {"weight": None}}},
        {"seed": 1},
        {"seed": False},
        {"more": None},
    ],
    ids=str,
)
def test_every_argument_changes_the_key(change):
    assert keyed(**ARGUMENTS) != keyed(**ARGUMENTS | change)


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 9},
        {"config": {"params": {"weight": 1.0}, "k": 2}},
        {"embeddings": (source(), source("1"))},
    ],
    ids=str,
)
def test_what_changes_speed_only_and_order_do_not_change_the_key(change):
    assert keyed(**ARGUMENTS) == keyed(**ARGUMENTS | change)


def test_a_setting_that_changes_speed_only_stays_in_its_config_and_out_of_the_key():
    slow, fast = (ScoringConfig(params={"batch_size": size}) for size in (1, 64))
    assert (slow.params["batch_size"], fast.params["batch_size"]) == (1, 64)
    assert keyed(config=slow) == keyed(config=fast)
    rare, often = (TrainingConfig(save_every=steps) for steps in (100, 1))
    assert keyed(config=rare) == keyed(config=often)
    assert keyed(config=rare) != keyed(config=TrainingConfig(steps=1))


def test_defaults_are_part_of_the_key():
    spec = Stage("score", lambda number, weight=1.0: None, 1, "logps")
    assert spec.bind(3) == spec.bind(number=3, weight=1.0) == {"number": 3, "weight": 1.0}


def test_file_counts_by_what_is_in_it(tmp_path):
    def key(path):
        config = AnnotationConfig(annotator="replay", params={"path": str(path)})
        return keyed(config=config)

    recorded = tmp_path / "scores.jsonl"
    recorded.write_text("{}")
    before = key(recorded)
    moved = recorded.rename(tmp_path / "moved.jsonl")
    assert key(moved) == before
    moved.write_text("{} ")
    assert key(moved) != before


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        frozenset("a"),
        pl.DataFrame(),
        pl.LazyFrame(),
        np.zeros(2),
        lambda: 0,
        len,
        b"",
        Path("x"),
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("place", [lambda v: v, lambda v: {"a": [v]}], ids=["alone", "nested"])
def test_what_has_no_one_text_is_refused_and_never_guessed(value, place):
    with pytest.raises(
        TypeError, match=f"A {type(value).__name__} cannot be part of a stage's key"
    ):
        keyed(given=place(value))


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not JSON"):
        keyed(weight=float("nan"))


# --- reasons ----------------------------------------------------------------------------------


EMPTY = empty("logps")


def taking(names):
    """A function of these parameters that returns an empty table."""

    def function(**arguments):
        return EMPTY

    kind = inspect.Parameter.KEYWORD_ONLY
    function.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])
    return function


def reason(store, *runs):
    """Why the last of the runs, each (version, arguments), was computed."""
    for version, arguments in runs:
        outcome = Stage("score", taking(arguments), version, "logps").run(store, arguments)
    assert not outcome.cached
    return outcome.reasons[0]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(1, {})], "first run"),
        ([(1, {"seed": 0}), (1, {"seed": 1})], "seed 0 → 1"),
        ([(1, {"seed": 0}), (2, {"seed": 0})], "version 1 → 2"),
        ([(1, {"seed": 0}), (2, {"seed": 1})], "version 1 → 2, seed 0 → 1"),
        ([(1, {"a": source()}), (1, {"a": source("1")})], "other a"),
        ([(1, {}), (1, {"policy": None})], "policy unset → none"),
        ([(1, {"k": 1}), (1, {"k": 1.0})], "k 1 → 1.0"),
        ([(1, {"k": [1]}), (1, {"k": [1.0]})], "inputs that look the same and are not"),
        ([(1, dict.fromkeys("abcde", 0)), (1, dict.fromkeys("abcde", 1))], "c 0 → 1 and 2 more"),
        ([(1, {"a": 0, "b": 0}), (1, {"a": 9, "b": 9}), (1, {"a": 1, "b": 0})], "a 0 → 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_miss_is_explained_by_the_nearest_earlier_run(store, runs, expected):
    assert reason(store, *runs).endswith(expected)


def test_changed_setting_is_named_in_the_words_of_the_config(store):
    configs = [SelectionConfig(params={"diversity_weight": weight}) for weight in (0.5, 1.0)]
    runs = [(1, {"config": config}) for config in configs]
    assert "diversity_weight 0.5 → 1.0" in reason(store, *runs)
