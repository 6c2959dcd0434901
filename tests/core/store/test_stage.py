"""Stages: what is computed, what is found, and what happens when neither works."""

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.ground.tables import in_shards
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.selection.table import select_responses
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.running import cut_short, fresh_folder, in_role, workspace
from prefopt_core.store.stage import Stage


def logps(*values, first=0):
    ids = [f"c{first + i}" for i in range(len(values))]
    return pl.DataFrame({"candidate_id": ids, "logps": pl.Series(values, dtype=pl.Float64)})


def stage(function, name="score", version=1, table="logps", **options):
    return Stage(name, function, version, table, **options)


@pytest.fixture
def counted(store):
    """A stage of one number, and the list of the numbers it was called with."""
    calls = []

    def score(number, batch_size: SpeedOnly[int] = 8):
        calls.append(number)
        return logps(float(number))

    return stage(score), calls


@pytest.fixture
def outcome(store, counted):
    """Run the counted stage."""

    def outcome(*arguments, **options):
        spec, _ = counted
        return spec.run(store, spec.bind(*arguments), **options)

    return outcome


def damage(store, what):
    """Harm the only object in the store, or its manifest."""
    (path,) = (store.root / ("manifests" if "manifest" in what else "objects")).glob("*/*")
    if what in ("no object", "no manifest"):
        path.unlink()
    else:
        harm = {"flipped": lambda d: d[:20] + bytes([d[20] ^ 1]) + d[21:], "cut": lambda d: d[:-9]}
        path.write_bytes(harm.get(what, lambda d: b'{"a": ')(path.read_bytes()))


# --- found or computed --------------------------------------------------------------------------


def test_result_is_computed_once_and_then_found(store, counted, outcome):
    first, again = outcome(1), outcome(1, 99)
    assert again.value == first.value
    assert (first.cached, again.cached) == (False, True)
    assert store.read(again.value).equals(logps(1.0))
    assert counted[1] == [1]
    outcome(2)
    assert counted[1] == [1, 2]


@dataclass(frozen=True)
class Money:
    most: int

    def key_part(self):
        return {"max_cost": self.most}


def test_what_a_limit_cut_short_is_found_under_that_limit_only(store):
    calls = []

    def buy(number, money: SpeedOnly[Money]):
        calls.append(money.most)
        if money.most < number:
            cut_short()
        return logps(*map(float, range(min(number, money.most))))

    spec = stage(buy)

    def run(most):
        return spec.run(store, spec.bind(5, Money(most)))

    cut = run(2)
    assert (cut.value.rows, run(2).cached, spec.find(store, spec.bind(5, Money(2))).cached) == (
        2, True, True,
    )  # fmt: skip
    assert spec.find(store, spec.bind(5, Money(7))) == "money.max_cost 2 → 7"
    whole = run(7)
    assert (whole.value.rows, whole.cached) == (5, False)
    assert [run(most).value for most in (2, 7, 9)] == [whole.value] * 3  # it needs no limit
    assert calls == [2, 7]


def test_refresh_computes_what_is_there(counted, outcome):
    outcome(1)
    refreshed = outcome(1, refresh=True)
    assert refreshed.reasons == ("refresh asked for",)
    assert counted[1] == [1, 1]
    assert outcome(1).value == refreshed.value


DAMAGES = {
    "no object": "is gone from the store",
    "flipped": "was damaged and is now in quarantine/",
    "cut": "was damaged and is now in quarantine/",
    "no manifest": "first run",
    "broken manifest": "its manifest cannot be read (ValidationError)",
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_damaged_is_computed_again_in_the_same_run(store, counted, outcome, what):
    before = outcome(1).value
    damage(store, what)
    healed = outcome(1)
    assert DAMAGES[what] in healed.reasons[0]
    assert healed.value == before
    assert store.read(healed.value).equals(logps(1.0))
    assert outcome(1).cached
    assert counted[1] == [1, 1]


def test_error_in_a_stage_is_its_own_and_commits_nothing(store):
    def refuse(seed):
        (workspace() / "checkpoint").write_text("half")
        raise PermissionError(13, "not your file")

    spec = stage(refuse)
    with pytest.raises(PermissionError, match="not your file"):
        spec.run(store, spec.bind(0))
    assert spec.find(store, spec.bind(0)) == "first run"
    assert [path.name for path in (store.root / "work").glob("*/*")] == ["checkpoint"]
    with store.in_use(alone=True):  # no lock is left
        pass


def test_manifest_tells_what_was_made_of_what_and_how(store):
    def slow(number, config):
        time.sleep(0.05)
        return logps(number)

    spec = stage(slow, version=4)
    outcome = spec.run(store, spec.bind(0.5, {"k": 2}))
    (manifest,) = store.manifests("score")
    assert (manifest.version, manifest.inputs) == (4, {"number": 0.5, "config": {"k": 2}})
    assert manifest.output == outcome.value
    assert manifest.key == store.manifest_path("score", manifest.key).stem
    assert manifest.made_with["polars"] == pl.__version__
    assert manifest.made_with.keys() >= {"numpy", "pyarrow", "torch", "transformers", "trl"}
    assert 0.05 <= manifest.seconds <= outcome.seconds < 5
    assert 10 < manifest.peak_memory_mb < 100_000
    assert abs(manifest.created - time.time()) < 60


def test_list_of_frames_becomes_the_shards_of_one_table(store):
    frames = in_shards(logps(*range(5)), 2)
    spec = stage(lambda: frames)
    made = spec.run(store, {}).value
    assert [shard.rows for shard in made.shards] == [2, 2, 1]
    assert store.read(made).equals(pl.concat(frames))


def test_store_that_cannot_be_made_is_named(store, outcome):
    store.root.write_text("a file")
    with pytest.raises(StoreError, match=f"Cannot write to {store.root}.*PREFOPT_STORE"):
        outcome(1)


def test_finding_says_what_a_run_would_do_and_computes_nothing(store, counted, outcome):
    spec, calls = counted
    assert spec.find(store, spec.bind(1)) == "first run"
    made = outcome(1)
    found = spec.find(store, spec.bind(1))
    assert (found.value, found.cached) == (made.value, True)
    assert spec.find(store, spec.bind(2)) == "number 1 → 2"
    assert calls == [1]


def test_a_miss_is_compared_with_results_of_the_same_role_only(store, counted, outcome):
    spec, _ = counted

    def why(number, role):
        with in_role(role):
            return spec.find(store, spec.bind(number))

    outcome(1)  # of an earlier prefopt, which wrote no roles
    assert why(2, "round 1") == "number 1 → 2"
    store.manifest_path("score", next(store.manifests("score")).key).unlink()
    with in_role("evaluation"):
        outcome(3)
    assert why(4, "round 1") == "first run"
    assert why(4, "evaluation") == "number 3 → 4"
    assert not isinstance(why(3, "round 1"), str)  # the role is no part of the key
    assert [manifest.role for manifest in store.manifests("score")] == ["evaluation"]


def test_outcome_reads_like_a_line_of_a_log(outcome):
    first, again = str(outcome(1)), str(outcome(1))
    digest = again.rpartition(" ")[2]
    assert again == f"hit · 1 rows · {digest}"
    assert first.startswith("computed in 0.")
    assert first.endswith(f" s: first run · 1 rows · {digest}")


# --- shards -----------------------------------------------------------------------------------


def candidates(store, prompts, size, first=0):
    """A table of four candidates for each prompt, in shards of `size` prompts."""
    rows = {"prompt_id": [], "candidate_id": [], "sample": [], "response": []}
    for number in range(first, first + prompts):
        for sample in range(4):
            text = f"{number} {sample}"
            for name, value in zip(rows, (f"p{number}", text, sample, text), strict=True):
                rows[name].append(value)
    frame = pl.DataFrame(rows).with_columns(
        pl.col("sample").cast(pl.Int32),
        *(pl.lit(None, pl.List(pl.Int32)).alias(f"{n}_token_ids") for n in ("prompt", "response")),
        policy=pl.lit("given"),
        finish_reason=pl.lit("given"),
        logps=pl.lit(None, pl.Float64),
        template=pl.lit(None, pl.String),
    )
    shards = [store.put_table("candidates", part) for part in in_shards(frame, 4 * size)]
    return Artifact(table="candidates", shards=tuple(shards))


@pytest.fixture
def select(store):
    """A stage that selects at random, and the prompts it was called for."""
    calls = []

    def select(candidates, embeddings, seed):
        frame = store.read(candidates)
        calls.append(frame["prompt_id"].unique(maintain_order=True).to_list())
        config = SelectionConfig(strategy="random")
        return select_responses(frame, None, config, seed=seed)

    return stage(select, "select", table="selections", by_shard=True), calls


def test_stage_by_shard_is_called_once_for_each(store, select):
    spec, calls = select
    told = []
    arguments = spec.bind(candidates(store, 5, 2), None, 0)
    outcome = spec.run(store, arguments, on_part=lambda done, total: told.append((done, total)))
    assert calls == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [shard.rows for shard in outcome.value.shards] == [4, 4, 2]
    assert str(outcome).startswith("3 of 3 shards computed in")


def test_appended_prompts_leave_finished_shards_and_every_other_row_alone(store, select):
    spec, calls = select
    few = spec.run(store, spec.bind(candidates(store, 5, 2), None, 0)).value
    del calls[:]
    outcome = spec.run(store, spec.bind(candidates(store, 9, 2), None, 0))
    assert outcome.value.shards[:2] == few.shards[:2]
    assert calls == [["p4", "p5"], ["p6", "p7"], ["p8"]]
    assert (outcome.hits, outcome.parts) == (2, 5)
    assert store.read(outcome.value).head(few.rows).equals(store.read(few))


def test_draws_of_a_prompt_do_not_depend_on_the_size_of_shards(store, select):
    spec, _ = select
    tables = [
        store.read(spec.run(store, spec.bind(candidates(store, 6, size), None, 0)).value)
        for size in (1, 4, 6)
    ]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_finding_counts_the_shards_that_are_missing(store, select):
    spec, _ = select
    spec.run(store, spec.bind(candidates(store, 2, 1), None, 0))
    assert spec.find(store, spec.bind(candidates(store, 3, 1), None, 0)) == (
        "1 of 3 shards: other candidates"
    )


def test_inputs_cut_differently_do_not_go_together(store):
    spec = stage(lambda a, b: None, by_shard=True)
    with pytest.raises(AssertionError, match=r"score: inputs of \[1, 2\] shards do not match"):
        spec.run(store, spec.bind(candidates(store, 2, 1), candidates(store, 2, 2)))


# --- models and unfinished work -----------------------------------------------------------------


def make_model(seed, weights):
    folder = fresh_folder("model")
    (folder / "config.json").write_text("{}")
    (folder / "own").write_bytes(rng_for(seed, "weights").bytes(1000))
    (folder / "model.safetensors").symlink_to(weights)
    return folder


def test_model_is_made_once_keeps_its_links_and_heals(store, tmp_path):
    weights = tmp_path / "weights"
    weights.write_text("w" * 1000)
    spec = stage(make_model, "load_policy", table=None)
    run = partial(spec.run, store, spec.bind(0, str(weights)))
    model = run().value
    assert run().cached
    folder = store.open_folder(model)
    assert os.readlink(folder / "model.safetensors") == str(weights)
    for harm in (lambda p: p.write_text("x"), Path.unlink):
        harm(folder / "own")
        healed = run()
        assert healed.value == model
        assert "was damaged" in healed.reasons[0]
        assert store.open_folder(model) == folder
    weights.write_text("v" * 1000)  # other weights behind the link are another model
    assert run().value != model
    assert list((store.root / "work").iterdir()) == []


def test_workspace_outlives_an_error_and_goes_with_success(store):
    found = []

    def train(seed):
        found.append(sorted(path.name for path in workspace().iterdir()))
        (workspace() / f"checkpoint-{len(found)}").touch()
        fresh_folder("model")
        if len(found) < 3:
            raise InterruptedError
        return make_model(seed, "/dev/null")

    spec = stage(train, "train", table=None)
    for _ in range(2):
        with pytest.raises(InterruptedError):
            spec.run(store, spec.bind(0))
    spec.run(store, spec.bind(0))
    assert found == [[], ["checkpoint-1", "model"], ["checkpoint-1", "checkpoint-2", "model"]]
    assert list((store.root / "work").iterdir()) == []


def test_of_very_many_shards_only_the_sizes_are_looked_up(store, select, monkeypatch):
    spec, calls = select
    spec.run(store, arguments := spec.bind(candidates(store, 5, 2), None, 0))
    del calls[:]
    monkeypatch.setattr("prefopt_core.store.local.MANY", 2)
    made = spec.find(store, arguments).value
    flipped, cut, _ = (store.shard_path(shard) for shard in made.shards)
    flipped.write_bytes(bytes(flipped.stat().st_size))
    assert spec.find(store, arguments).value == made
    cut.write_bytes(b"")
    assert spec.find(store, arguments).startswith("1 of 3 shards")
    with pytest.raises(StoreError, match="Run the same command again to rebuild it"):
        store.read(made)
    assert store.read(spec.run(store, arguments).value).height == made.rows
    assert len(calls) == 2
