"""Something else in the place of an object or a manifest: put away, told, computed again."""

import os
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from prefopt_core.ground.errors import StoreError
from prefopt_core.store import maintenance
from prefopt_core.store.artifacts import File
from prefopt_core.store.running import fresh_folder
from prefopt_core.store.stage import Stage


def as_folder(path):
    path.mkdir()
    (path / "inside").write_text("mine")


def as_link(path):
    moved = path.with_name(f"{path.name}.moved")
    moved.write_text("of somebody else")
    path.symlink_to(moved)


REPLACED = {
    "folder": as_folder,
    "loop of links": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
    "link": as_link,
    "dangling link": lambda path: path.symlink_to("nowhere"),
}


def score(seed):
    return pl.DataFrame({"candidate_id": ["a"], "logps": [float(seed)]})


def train(seed):
    folder = fresh_folder("model")
    (folder / "sub").mkdir()
    for name in ("config.json", "sub/weights"):
        (folder / name).write_text(f"{name} {seed}")
    return folder


SCORE, TRAIN = Stage("score", score, 1, "logps"), Stage("train", train, 1, None)


def place_of(store, what):
    """A stage whose result is there, and where the thing lies that is replaced."""
    if what == "manifest":
        SCORE.run(store, {"seed": 1})
        return SCORE, next((store.root / "manifests").glob("score/*"))
    if what == "shard":
        return SCORE, store.shard_path(SCORE.run(store, {"seed": 1}).value.shards[0])
    folder = store.folder_path(TRAIN.run(store, {"seed": 1}).value)
    return TRAIN, folder if what == "model" else folder / "sub" / "weights"


@pytest.mark.parametrize("what", ["manifest", "shard", "model", "file of a model"])
@pytest.mark.parametrize("by", REPLACED)
def test_whatever_stands_in_a_place_is_put_away_and_the_result_made_again(store, what, by):
    stage, path = place_of(store, what)
    if path.is_dir():
        path.rename(path.with_name("old"))
    else:
        path.unlink()
    REPLACED[by](path)
    assert [each[1] for each in maintenance.verify(store)] != [""]
    assert len(list(store.manifests())) <= 1
    again = stage.run(store, {"seed": 1})
    assert again.hits == 0
    assert stage.run(store, {"seed": 1}).cached
    assert not path.is_symlink()
    assert [problem for _, problem in maintenance.verify(store)] == [""]
    maintenance.collect_garbage(store)
    assert not list((store.root / "quarantine").iterdir())


def test_result_is_not_written_into_a_folder_that_was_planted_before(store):
    shard = SCORE.run(store, {"seed": 1}).value.shards[0]
    store.forget("score", next(store.manifests()).key)
    store.shard_path(shard).unlink()
    as_folder(store.shard_path(shard))
    assert store.read(SCORE.run(store, {"seed": 1}).value).equals(score(1))


@pytest.mark.parametrize("name", ["added.py", "sub/model.safetensors", "sub/deeper/file"])
def test_file_added_to_a_model_is_put_away_and_the_model_stays_a_hit(store, name, caplog):
    model = TRAIN.run(store, {"seed": 1}).value
    added = store.folder_path(model) / name
    added.parent.mkdir(exist_ok=True)
    added.write_text("planted")
    assert TRAIN.run(store, {"seed": 1}).cached
    files = [p for p in store.open_folder(model).rglob("*") if p.is_file()]
    assert {p.relative_to(store.folder_path(model)).as_posix() for p in files} == {
        "config.json",
        "sub/weights",
    }
    assert [p.read_text() for p in (store.root / "quarantine").iterdir()] == ["planted"]
    assert f"{model.digest[:12]}/{added.name} is now in quarantine/" in caplog.text


def test_linked_folder_added_to_a_model_is_put_away_without_what_it_leads_to(store, tmp_path):
    model = TRAIN.run(store, {"seed": 1}).value
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "adapter.py").write_text("theirs")
    (store.folder_path(model) / "linked").symlink_to(tmp_path / "elsewhere")
    assert not (store.open_folder(model) / "linked").exists()
    maintenance.collect_garbage(store)
    assert (tmp_path / "elsewhere" / "adapter.py").read_text() == "theirs"


@pytest.mark.parametrize("name", ["../escaped", "/etc/passwd", "a/../../b", ""])
def test_record_of_a_file_outside_of_its_folder_is_refused(name):
    with pytest.raises(ValidationError):
        File(name=name, sha256="0" * 64, size=0)


def test_object_that_may_not_be_read_is_an_error_and_no_damage(store, monkeypatch):
    model = SCORE.run(store, {"seed": 1}).value

    def refused(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(StoreError, match=r"Cannot read .*parquet: Permission denied"):
        store.check(model)
    monkeypatch.undo()
    assert store.check(model) == ""


READ_ONLY = """
import os, sqlite3, subprocess, sys
from pathlib import Path
os.environ["PREFOPT_STORE"] = sys.argv[1]
from flows.cli import main
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store.store import Store
from tests.core.store.test_damage import SCORE
from tests.verdicts import about

root = Path(sys.argv[1])
SCORE.run(Store(root), {"seed": 1})
if os.fork() == 0:  # killed: its log stays
    with buying(LabelStore(root), AnnotatorIdentity("me", "1")) as purchase:
        purchase.commit(about("p", "a"), Verdict.scored(1.0))
        os._exit(9)
os.wait()
(root / "labels.sqlite-shm").unlink()
assert (root / "labels.sqlite-wal").stat().st_size
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
print(main(["cache", "ls"]), main(["cache", "verify"]), main(["cache", "gc"]))
"""


@pytest.mark.slow
def test_store_that_cannot_be_written_is_listed_and_verified(small_disk):
    printed = small_disk(READ_ONLY, kilobytes=4096)
    assert "│ score │ 1       │ 1" in printed
    assert "1 label of me, guidelines 1" in printed
    assert "1 of 1 results intact" in printed
    assert printed.endswith("0 0 2\n")  # nothing can be deleted there, which is told


def test_folder_in_the_place_of_a_page_is_put_away_and_the_page_written(store):
    (store.page("mine/run.json") / "within").mkdir(parents=True)
    assert store.put_page("mine/run.json", "{}").read_text() == "{}"
    assert [path.is_dir() for path in (store.root / "quarantine").iterdir()] == [True]
