"""Files of the store that are not what they were: objects, manifests, ledgers, checkpoints."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import polars as pl

from benchmarks.faults.trial import Trial

LEDGER = "labels.sqlite"


def flipped(path: Path, rng: Random) -> None:
    """One bit is another."""
    if data := bytearray(path.read_bytes()):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def truncated(path: Path, rng: Random) -> None:
    """The end is missing."""
    os.truncate(path, rng.randrange(max(1, path.stat().st_size)))


def emptied(path: Path, rng: Random) -> None:
    """No bytes are left."""
    path.write_bytes(b"")


def replaced(path: Path, rng: Random) -> None:
    """Something else is there, as long as it was or not."""
    path.write_bytes(rng.choice([b"not what it was\n", b"{}", rng.randbytes(path.stat().st_size)]))


def deleted(path: Path, rng: Random) -> None:
    """It is gone."""
    path.unlink()


def linked(path: Path, rng: Random) -> None:
    """A link is there, to something else, to nothing, or to itself."""
    path.unlink()
    path.symlink_to(rng.choice([Path(__file__), Path("nowhere"), Path(path.name)]))


def made_a_folder(path: Path, rng: Random) -> None:
    """A folder is there, with something in it or not."""
    path.unlink()
    path.mkdir()
    if rng.random() < 0.5:
        (path / "within").write_text("x")


def made_a_pipe(path: Path, rng: Random) -> None:
    """A pipe is there: who reads it would wait for ever."""
    path.unlink()
    os.mkfifo(path)


DAMAGE = (
    flipped, truncated, emptied, replaced, deleted, linked, made_a_folder, made_a_pipe,
)  # fmt: skip
BYTES = (flipped, truncated, emptied, replaced, deleted)
"""What can happen to a file in a place that only files can have."""


def object_damaged(how: Callable[[Path, Random], None]) -> Callable[[Trial, Random, int], str]:
    """A fault: that happens to an object, or to a file of one."""

    def damage(trial: Trial, rng: Random, last: int) -> str:
        files = _files((trial.store / "objects").glob("*/**/*"))
        stage, path = _drawn(trial, files, rng)
        how(path, rng)
        return f"object of {stage}"

    damage.__doc__ = f"An object: {str(how.__doc__)[0].lower()}{str(how.__doc__)[1:]}"
    return damage


def manifest_damaged(how: Callable[[Path, Random], None]) -> Callable[[Trial, Random, int], str]:
    """A fault: that happens to a manifest."""

    def damage(trial: Trial, rng: Random, last: int) -> str:
        path = rng.choice(sorted(trial.manifests()))
        trial.touched.add(path)
        how(path, rng)
        return f"manifest of {path.parent.name}"

    damage.__doc__ = f"A manifest: {str(how.__doc__)[0].lower()}{str(how.__doc__)[1:]}"
    return damage


def model_file_added(trial: Trial, rng: Random, last: int) -> str:
    """A file more in a model's folder, which would be loaded with it."""
    folders = sorted(p for p in (trial.store / "objects").glob("*/*") if p.is_dir())
    if not folders:
        return "no model was there"
    name = rng.choice(["adapter_config.json", "chat_template.jinja", "pytorch_model.bin"])
    path = rng.choice(folders) / name
    if not path.exists():
        path.write_text("{}")
        return name
    return "it was there"


def record_damaged(trial: Trial, rng: Random, last: int) -> str:
    """The run's record or page, or the index: any damage to a file."""
    places = [*(trial.store / "runs" / "loop").glob("*"), *trial.store.glob("index*")]
    path = rng.choice(sorted(_files(places)))
    how = rng.choice(DAMAGE)
    how(path, rng)
    return f"{path.name} {how.__name__.replace('_', ' ')}"


def checkpoint_damaged(trial: Trial, rng: Random, last: int) -> str:
    """A file of a checkpoint of an unfinished training: any damage."""
    checkpoints = [*trial.checkpoints().values()]
    path = rng.choice(sorted(_files(p for c in checkpoints for p in c.rglob("*"))))
    how = rng.choice(DAMAGE)
    how(path, rng)
    return f"{path.name} {how.__name__.replace('_', ' ')}"


def ledger_damaged(trial: Trial, rng: Random, last: int) -> str:
    """The ledger of labels: flipped, truncated, emptied, deleted, another file, or another kind."""
    how = rng.choice(DAMAGE)
    for end in ("-wal", "-shm"):  # of a process that is gone: its rows into the file first
        if (trial.store / (LEDGER + end)).exists():
            with closing(sqlite3.connect(trial.store / LEDGER)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    trial.rebought = _only_in_ledger(trial)
    how(trial.store / LEDGER, rng)
    return how.__name__.replace("_", " ")


_ROWS = (
    ("score changed", "said = '{\"scores\": [9.0]}'"),
    ("score inf", "said = '{\"scores\": [Infinity]}'"),
    ("score a text", 'said = \'{"scores": ["good"]}\''),
    ("skipped", "state = 'skipped', said = '{}'"),
    ("id broken", "responses = 'no list' || responses"),
    ("bytes no text", "why = x'ff'"),
)


def label_changed(trial: Trial, rng: Random, last: int) -> str:
    """A row of the ledger of labels says something else."""
    name, change = rng.choice(_ROWS)
    trial.rebought = _only_in_ledger(trial)
    with closing(sqlite3.connect(trial.store / LEDGER)) as connection, connection:
        connection.execute(
            f"UPDATE verdicts SET {change} WHERE responses = (SELECT MIN(responses) FROM verdicts)"
        )
    return name


def ledger_mended(trial: Trial) -> None:
    """What the message says: put it away, and have the labels rebuilt from the tables."""
    said = trial.said[-1]
    if "move it away" in said.err.lower():
        for path in trial.store.glob(f"{LEDGER}*"):
            shutil.move(path, trial.folder / f"away-{path.name}")
    trial.run("labels", "rebuild", "--yes")


def _only_in_ledger(trial: Trial) -> set[str]:
    """Answers that no table has yet: without the ledger they are lost."""
    kept = set()
    for path in (trial.store / "manifests").glob("annotate/*.json"):
        for shard in json.loads(path.read_bytes())["output"]["shards"]:
            table = trial.store / f"objects/{shard['sha256'][:2]}/{shard['sha256']}.parquet"
            kept |= {str(row) for row in pl.read_parquet(table, glob=False)["responses"].to_list()}
    # A table has ids, a call has texts; so many tables as rows, so many of the first calls.
    return {*trial.answers()[len(kept) :]}


def _files(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def _drawn(trial: Trial, files: list[Path], rng: Random) -> tuple[str, Path]:
    """A stage, each as likely as any other, and a file of one of its objects; noted as touched."""
    objects = trial.store / "objects"
    by_stage: dict[str, list[Path]] = {}
    for manifest in sorted(trial.manifests()):
        with suppress(OSError, ValueError):
            output = json.dumps(json.loads(manifest.read_bytes())["output"])
            for path in files:
                name = path.relative_to(objects).parts[1].removesuffix(".parquet")
                is_folder = len(path.relative_to(objects).parts) > 2
                if name in output or (
                    is_folder and _names(output, path, objects / name[:2] / name)
                ):
                    by_stage.setdefault(manifest.parent.name, []).append(path)
    stage = rng.choice(sorted(by_stage))
    path = rng.choice(sorted(by_stage[stage]))
    trial.touched.add(path)
    return stage, path


def _names(output: str, path: Path, folder: Path) -> bool:
    """Whether a result is that folder: it has the digests of its files, not its own."""
    files = json.loads(output).get("files", [])
    return {file["name"] for file in files} == {
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
    } and any(file["name"] == path.relative_to(folder).as_posix() for file in files)
