"""Looking after the store: what goes, what stays, and what waits."""

import threading

import polars as pl
import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store import maintenance
from prefopt_core.store.locks import locked
from prefopt_core.store.running import fresh_folder
from prefopt_core.store.stage import Stage
from tests.verdicts import SKIPPED, about

RUNNING = """
import sys, time
from pathlib import Path
import polars as pl
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.running import workspace
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store

store, go_on = Store(Path(sys.argv[1])), Path(sys.argv[2])

def score(seed):
    frame = pl.DataFrame({"candidate_id": ["running"], "logps": [float(seed)]})
    early = store.put_table("logps", frame)  # an object that no manifest names yet
    (workspace() / "checkpoint").touch()
    print("ready", flush=True)
    while not go_on.exists():
        time.sleep(0.01)
    assert store.shard_path(early).exists()
    assert (workspace() / "checkpoint").exists()
    return frame

made = Stage("score", score, 1, "logps").run(store, {"seed": 1}).value
print(store.read(made).height)
"""


def score(seed):
    return pl.DataFrame({"candidate_id": ["a", "b"], "logps": [float(seed), 0.0]})


def train(seed):
    folder = fresh_folder("model")
    (folder / "weights").write_text(f"seed {seed}")
    (folder / "config").symlink_to("/dev/null")
    return folder


SCORE = Stage("score", score, 1, "logps")
TRAIN = Stage("train", train, 1, None)


def made(store, *seeds, spec=SCORE, **options):
    return [spec.run(store, {"seed": seed}, **options).value for seed in seeds]


def names(store, folder="objects"):
    return sorted(path.name for path in (store.root / folder).glob("*/*"))


def flip(store, artifact):
    path = store.shard_path(artifact.shards[0])
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    return path


@pytest.fixture
def labels(store):
    """Two labels in the store, and what they are."""
    annotator = AnnotatorIdentity("me", "1")
    with buying(LabelStore(store.root), annotator) as purchase:
        purchase.commit(about("p", "a"), Verdict.scored(1.0))
        purchase.commit(about("p", "b"), SKIPPED)
    known = LabelStore(store.root).known
    return lambda: {label.responses: label.verdict for (label,) in known(annotator).values()}


# --- what goes and what stays -------------------------------------------------------------------


def test_what_a_manifest_names_stays(store, labels):
    tables, models = made(store, 0, 1), made(store, 2, spec=TRAIN)
    before = names(store), names(store, "manifests"), labels()
    assert maintenance.collect_garbage(store) == (0, 0)
    assert (names(store), names(store, "manifests"), labels()) == before
    assert [store.check(output) for output in tables + models] == ["", "", ""]


def test_what_nothing_names_goes(store, labels):
    (kept,) = made(store, 0)
    orphan = store.put_table("logps", score(9))
    weights = store.root / "work" / "made"
    weights.mkdir(parents=True)
    (weights / "weights").write_text("w" * 100)
    orphan_model = store.put_folder(weights)
    damaged = flip(store, made(store, 1)[0])
    store.check(made(store, 1)[0])  # computes it again
    (store.root / "work" / "train-abc").mkdir()
    (store.root / "work" / "train-abc" / "checkpoint").write_text("c" * 50)
    for folder in ("objects", "manifests"):
        (store.root / folder / ".tmp-killed").write_text("half")

    counted = maintenance.collect_garbage(store, dry_run=True)
    assert store.shard_path(orphan).exists()
    assert maintenance.collect_garbage(store) == counted == (6, counted[1])
    assert counted[1] == orphan.size + 100 + damaged.stat().st_size + 50 + 4 + 4
    assert not store.shard_path(orphan).exists()
    assert not store.folder_path(orphan_model).exists()
    assert not list(store.root.rglob(".tmp-*"))
    for folder in ("quarantine", "work"):
        assert not list((store.root / folder).iterdir())
    assert store.read(kept).equals(score(0))
    assert labels() == {("a",): Verdict.scored(1.0), ("b",): SKIPPED}
    assert maintenance.collect_garbage(store) == (0, 0)


def test_link_in_a_model_goes_without_what_it_points_to(store, tmp_path):
    target = tmp_path / "weights"
    target.write_text("w" * 1000)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").symlink_to(target)
    store.put_folder(tmp_path / "model")
    assert maintenance.collect_garbage(store)[0] == 1
    assert names(store) == []
    assert target.read_text() == "w" * 1000


def test_object_of_two_results_stays_while_one_of_them_names_it(store):
    twice = [Stage(name, lambda seed: score(0), 1, "logps") for name in ("score", "again")]
    first, second = (made(store, 0, spec=spec)[0] for spec in twice)
    assert first == second
    maintenance.remove(store, "score")
    assert maintenance.collect_garbage(store) == (0, 0)
    maintenance.remove(store, "again")
    assert maintenance.collect_garbage(store)[0] == 1


def test_refreshed_result_leaves_its_old_object_to_be_collected(store):
    drawn = iter([0, 1])
    spec = Stage("score", lambda seed: score(next(drawn)), 1, "logps")
    old, new = (*made(store, 0, spec=spec), *made(store, 0, spec=spec, refresh=True))
    maintenance.collect_garbage(store)
    assert store.check(new) == ""
    assert "is gone" in store.check(old)


def test_manifest_that_cannot_be_read_keeps_nothing(store):
    (artifact,) = made(store, 0)
    (path,) = (store.root / "manifests").glob("*/*")
    path.write_text("{")
    assert maintenance.collect_garbage(store)[0] == 1
    assert made(store, 0) == [artifact]


def test_locks_that_nobody_holds_go_and_those_that_guard_money_stay(store, labels):
    locks = store.root / "locks"
    made(store, 0)
    for name in ("score", "holder"):  # of a killed process, or an earlier prefopt
        (locks / f"{name}-{'a' * 32}").touch()
    lasting = sorted(path.name.partition("-")[0] for path in locks.iterdir())
    assert lasting == ["holder", "labels", "score", "store"]
    maintenance.collect_garbage(store, dry_run=True)
    with locked(locks / f"score-{'b' * 32}", "score"), locked(locks / "holder-b", "a hold"):
        maintenance.collect_garbage(store)
        left = sorted(path.name for path in locks.iterdir() if path.name[0] in "hs")
    assert left == ["holder-b", f"score-{'b' * 32}", "store"]
    maintenance.collect_garbage(store)
    assert sorted(path.name.partition("-")[0] for path in locks.iterdir()) == ["labels", "store"]


# --- waiting ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_collecting_waits_for_a_running_stage_and_takes_nothing_of_it(store, start, tmp_path):
    process = start(RUNNING, store.root, tmp_path / "go on")
    assert process.stdout.readline() == "ready\n"
    collected = []

    def collect():
        collected.append(maintenance.collect_garbage(store))

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(0.4)
    assert thread.is_alive()
    (tmp_path / "go on").touch()
    thread.join(20)
    assert process.communicate(timeout=20)[0] == "1\n"
    assert collected == [(0, 0)]


def test_collecting_does_not_wait_for_a_killed_stage(store, start, tmp_path):
    process = start(RUNNING, store.root, tmp_path / "go on")
    process.stdout.readline()
    process.kill()
    process.wait(10)
    assert maintenance.collect_garbage(store)[0] == 2  # the early object and the workspace


# --- forgetting and finding ---------------------------------------------------------------------


def test_forgotten_result_is_computed_again(store, labels):
    (artifact,) = made(store, 0)
    made(store, 0, spec=TRAIN)
    assert [m.stage for m in maintenance.remove(store, "score")] == ["score"]
    maintenance.collect_garbage(store)
    assert SCORE.find(store, {"seed": 0}) == "first run"
    assert TRAIN.find(store, {"seed": 0}).cached
    assert made(store, 0) == [artifact]
    assert len(labels()) == 2


def test_results_are_found_by_stage_table_key_and_digest_newest_first(store):
    old, new = made(store, 0, 1)
    (model,) = made(store, 0, spec=TRAIN)
    by_age = [m.output for m in maintenance.find(store, "score")]
    assert by_age == [m.output for m in maintenance.find(store, "logps")] == [new, old]
    assert [m.output for m in maintenance.find(store, "model")] == [model]
    for output in (old, new, model):
        (found,) = maintenance.find(store, output.digest[:12])
        assert found.output == output
        assert maintenance.find(store, found.key[:12]) == [found]
    assert [m.output for m in maintenance.find(store, old.shards[0].sha256[:12])] == [old]


def test_name_of_nothing_is_met_with_what_there_is(store):
    made(store, 0)
    with pytest.raises(StoreError, match=r"nothing named 'scroe'\. Did you mean 'score'\?"):
        maintenance.remove(store, "scroe")
    assert len(names(store, "manifests")) == 1


def test_verifying_reports_damage_and_the_next_run_heals_it(store):
    good, bad = made(store, 0, 1)
    flip(store, bad)
    problems = {m.output: problem for m, problem in maintenance.verify(store)}
    assert problems[good] == ""
    assert "was damaged and is now in quarantine/" in problems[bad]
    assert made(store, 0, 1) == [good, bad]
    assert [problem for _, problem in maintenance.verify(store)] == ["", ""]


def test_holdings_count_results_rows_bytes_and_seconds_by_stage(store):
    made(store, 0, 1)
    made(store, 0, spec=TRAIN)
    scored, trained = maintenance.holdings(store)
    assert (scored.stage, scored.results, scored.rows) == ("score", 2, 4)
    assert scored.size == sum(p.stat().st_size for p in store.root.glob("objects/*/*.parquet"))
    assert scored.seconds > 0
    assert (trained.stage, trained.results, trained.rows) == ("train", 1, 0)
    assert trained.size == len("seed 0")


def test_store_that_is_not_there_holds_nothing(store):
    assert maintenance.holdings(store) == []
    assert list(maintenance.verify(store)) == []
    assert maintenance.collect_garbage(store) == (0, 0)
