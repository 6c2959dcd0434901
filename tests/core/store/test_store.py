"""The store: complete or absent, checked when used, and deaf to whatever is planted in it."""

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prefopt_core.ground.errors import DataError, StoreError
from prefopt_core.ground.tables import TABLES, empty
from prefopt_core.store import intact
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store

KEY = "5" * 64
FILL_THE_DISK = """
import json, sys
from pathlib import Path
import numpy as np, polars as pl
from prefopt_core.store.artifacts import Artifact
from prefopt_core.ground.errors import StoreError
from prefopt_core.store.store import Store

store, shards = Store(Path(sys.argv[1])), []
try:
    for seed in range(1000):
        logps = np.random.default_rng(seed).normal(size=5_000)
        frame = pl.DataFrame({"candidate_id": [str(i) for i in range(5_000)], "logps": logps})
        shards.append(store.put_table("logps", frame))
except StoreError as error:
    rows = store.read(Artifact(table="logps", shards=tuple(shards))).height
    files = [str(path) for path in store.root.rglob("*") if path.is_file()]
    print(json.dumps({"message": str(error), "rows": rows, "files": files}))
"""
WRITE_MUCH = """
import sys
from pathlib import Path
import numpy as np, polars as pl
from prefopt_core.store.store import Store

store, rows = Store(Path(sys.argv[1])), 300_000
for seed in range(3):
    logps = pl.Series(np.random.default_rng(seed).normal(size=rows))
    frame = pl.DataFrame({"logps": logps}).with_row_index("candidate_id")
    store.put_table("logps", frame.cast({"candidate_id": pl.String}))
"""
READ_ONLY = """
import subprocess, sys
from pathlib import Path
from prefopt_core.store.artifacts import Artifact
from prefopt_core.ground.errors import StoreError
from prefopt_core.store.store import Store
from prefopt_core.ground.tables import empty
from prefopt_core.store.runs import Run, runs

store = Store(Path(sys.argv[1]))
shard = store.put_table("logps", empty("logps"))
record = Run(name="mine", flow="aepo", settings="", model="", started=0.0)
store.put_page("mine/run.json", record.model_dump_json())
(store.root / "locks").mkdir()
(store.root / "locks" / "run-mine").touch()  # as a kill leaves it
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
print(store.read(Artifact(table="logps", shards=(shard,))).height, runs(store)[0].state)
for write in (lambda: store.put_table("prompts", empty("prompts")), store.in_use().__enter__):
    try:
        write()
    except StoreError as error:
        print(error)
"""


def logps(*values, first=0):
    ids = [f"c{first + i}" for i in range(len(values))]
    return pl.DataFrame({"candidate_id": ids, "logps": pl.Series(values, dtype=pl.Float64)})


def artifact(*shards, table="logps"):
    return Artifact(table=table, shards=shards)


def model_folder(path, **files):
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return path


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "emptied": lambda path: path.write_bytes(b""),
    "extended": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "flipped": flip,
}

# --- tables -----------------------------------------------------------------------------------


def test_table_comes_back_as_it_was_shard_by_shard(store):
    frames = [logps(-1.5, -0.0), logps(2.0, first=2)]
    stored = artifact(*(store.put_table("logps", frame) for frame in frames))
    assert store.read(stored).equals(pl.concat(frames))
    assert store.scan(stored).collect().equals(pl.concat(frames))
    assert store.read(stored.shard(1)).equals(frames[1])
    assert stored.rows == 3


@pytest.mark.parametrize("name", TABLES)
def test_empty_table_comes_back_with_its_types(store, name):
    read = store.read(artifact(store.put_table(name, empty(name)), table=name))
    assert read.schema == TABLES[name].columns


def test_messages_with_line_breaks_and_every_script_come_back(store):
    prompt = [{"role": "user", "content": "line\r\nfeed \0 λ 🙂 \u2028 ظ"}]
    frame = pl.DataFrame([("p", prompt)], schema=TABLES["prompts"].columns, orient="row")
    assert store.read(artifact(store.put_table("prompts", frame), table="prompts")).equals(frame)


def test_file_is_named_by_the_digest_of_its_bytes(store):
    shard = store.put_table("logps", logps(1.0))
    data = store.shard_path(shard).read_bytes()
    assert hashlib.sha256(data).hexdigest() == shard.sha256 == store.shard_path(shard).stem
    assert (shard.size, shard.rows) == (len(data), 1)


def test_equal_tables_are_one_file_however_they_lie_in_memory(store):
    frame = logps(*np.random.default_rng(0).normal(size=5_000))
    cut = pl.concat([frame[:7], frame[7:4_000], frame[4_000:]], rechunk=False)
    kept = pl.concat([logps(1.0, first=-1), frame]).filter(pl.col("candidate_id") != "c-1")
    shards = [
        store.put_table("logps", f)
        for f in (frame, cut, kept, frame.select("logps", "candidate_id"))
    ]
    assert len(set(shards)) == 1
    assert len(list((store.root / "objects").glob("*/*"))) == 1


@pytest.mark.slow
def test_table_can_be_seen_only_when_it_is_whole(store, start):
    process, seen, running = start(WRITE_MUCH, store.root), {}, True
    while running:
        running = process.poll() is None  # and look once more after the end
        for path in store.root.glob("objects/*/*"):
            if path.name not in seen:
                seen[path.name] = path.read_bytes()
    assert len(seen) == 3
    for name, data in seen.items():
        assert hashlib.sha256(data).hexdigest() + ".parquet" == name


def test_table_that_breaks_its_contract_is_not_written(store):
    with pytest.raises(DataError, match="'logps' breaks its contract"):
        store.put_table("logps", pl.DataFrame({"candidate_id": ["a"]}))
    assert not store.root.exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_table_is_put_away_and_never_read(store, damage):
    stored = artifact(store.put_table("logps", logps(*range(100))))
    path = store.shard_path(stored.shards[0])
    DAMAGES[damage](path)
    damaged = path.read_bytes()
    with pytest.raises(StoreError, match=rf"{path.name[:12]} was damaged.*[Rr]un the same command"):
        store.read(stored)
    assert [p.read_bytes() for p in (store.root / "quarantine").iterdir()] == [damaged]
    with pytest.raises(StoreError, match=f"{path.name[:12]} is gone"):
        store.scan(stored)


def slowly(function):
    """The function, so slow that threads meet in it."""

    def slow(*arguments):
        result = function(*arguments)
        time.sleep(0.05)
        return result

    return slow


def test_many_threads_that_find_the_same_damage_all_report_it(store, monkeypatch):
    stored = artifact(store.put_table("logps", logps(*range(1000))))
    flip(store.shard_path(stored.shards[0]))
    monkeypatch.setattr(intact, "_is_intact", slowly(intact._is_intact))
    with ThreadPoolExecutor(8) as pool:
        problems = list(pool.map(store.check, [stored] * 8))
    assert all("was damaged" in problem or "is gone" in problem for problem in problems)
    assert len(list((store.root / "quarantine").iterdir())) == 1


# --- models -----------------------------------------------------------------------------------


def test_model_folder_keeps_its_files_and_links(store, tmp_path):
    weights = tmp_path / "weights"
    weights.write_text("w" * 1000)
    folder = model_folder(tmp_path / "made", config="{}")
    (folder / "model.safetensors").symlink_to(weights)
    stored = store.open_folder(store.put_folder(folder))
    assert (stored / "model.safetensors").is_symlink()
    assert (stored / "model.safetensors").read_text() == "w" * 1000
    assert (stored / "config").read_text() == "{}"
    assert not folder.exists()


def test_digest_of_a_model_is_that_of_its_names_and_bytes_alone(store, tmp_path):
    linked = model_folder(tmp_path / "b" / "linked", config="{}")
    (tmp_path / "elsewhere").write_text("w")
    (linked / "weights").symlink_to(tmp_path / "elsewhere")
    os.utime(linked / "config", (0, 0))
    folders = {
        "written": model_folder(tmp_path / "a", config="{}", weights="w"),
        "linked": linked,
        "other bytes": model_folder(tmp_path / "c", config="{}", weights="v"),
        "other name": model_folder(tmp_path / "d", config="{}", weight="w"),
    }
    digests = {name: store.put_folder(folder).digest for name, folder in folders.items()}
    assert digests["written"] == digests["linked"]
    assert len(set(digests.values())) == 3


@pytest.mark.parametrize(
    "damage", [flip, Path.unlink, lambda path: path.write_bytes(b"")], ids=["flip", "rm", "empty"]
)
def test_damaged_model_is_put_away_and_the_same_one_can_be_stored_again(store, tmp_path, damage):
    files = {"config": "{}", "weights": "w" * 1000}
    model = store.put_folder(model_folder(tmp_path / "a", **files))
    damage(store.folder_path(model) / "weights")
    with pytest.raises(StoreError, match=f"{model.digest[:12]} was damaged"):
        store.open_folder(model)
    assert store.put_folder(model_folder(tmp_path / "b", **files)) == model
    assert (store.open_folder(model) / "weights").read_text() == files["weights"]
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_link_whose_target_changed_is_damage(store, tmp_path):
    (tmp_path / "weights").write_text("old")
    folder = model_folder(tmp_path / "made", config="{}")
    (folder / "weights").symlink_to(tmp_path / "weights")
    model = store.put_folder(folder)
    (tmp_path / "weights").write_text("new")
    assert "was damaged" in store.check(model)
    assert (tmp_path / "weights").read_text() == "new"  # what a link points to is not ours


def test_same_model_can_be_stored_by_many_at_once(store, tmp_path, monkeypatch):
    folders = [model_folder(tmp_path / str(i), config="{}", weights="w" * 9_999) for i in range(8)]
    monkeypatch.setattr(store, "check", slowly(store.check))
    with ThreadPoolExecutor(8) as pool:
        models = set(pool.map(store.put_folder, folders))
    assert store.check(models.pop()) == ""
    assert not models


# --- places -----------------------------------------------------------------------------------


def test_store_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "mine"))
    assert Store.open().root == tmp_path / "mine"
    monkeypatch.delenv("PREFOPT_STORE")
    monkeypatch.chdir(tmp_path)
    assert Store.open().root == tmp_path / "data" / "store"


def test_file_in_place_of_the_store_is_named_with_what_to_do(store):
    store.root.write_text("not a folder")
    message = rf"Cannot write to {store.root} .* MiB free.*Move it away, or point PREFOPT_STORE"
    with pytest.raises(StoreError, match=message):
        store.put_table("logps", logps(1.0))
    with pytest.raises(StoreError, match=message.replace(" .* MiB", "/locks .* MiB")):
        store.in_use().__enter__()
    assert store.root.read_text() == "not a folder"


def test_full_disk_is_named_with_what_to_do_and_nothing_half_written_stays(small_disk):
    told = json.loads(small_disk(FILL_THE_DISK, kilobytes=512))
    assert "/disk (0 MiB free): the disk is full. Free some space" in told["message"]
    assert "prefopt cache gc" in told["message"]
    assert told["rows"] == 5_000 * len(told["files"]) > 0
    assert not [path for path in told["files"] if ".tmp-" in path]


@pytest.mark.slow
def test_read_only_store_can_be_read_and_says_why_it_cannot_be_written(small_disk):
    rows, *messages = small_disk(READ_ONLY).splitlines()
    assert rows == "0 killed"
    assert len(messages) == 2
    for message in messages:
        assert message.startswith("Cannot write to /")
        assert "the disk is read-only. Make it writable, or point PREFOPT_STORE" in message
