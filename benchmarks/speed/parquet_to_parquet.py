"""From Parquet to Parquet: candidates and embeddings in the store, selections back into it.

As a program of its own, `python -m benchmarks.speed.parquet_to_parquet FOLDER SHARDS`, it runs the
stage on some shards and says how much memory that took.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.comparisons import Row, costs, faster, figure
from benchmarks.speed.embeddings import D, prompts
from benchmarks.speed.pairs import bare, batched
from benchmarks.timing import Job, Time, race, threads
from prefopt_core.ground.vectors import halves, pack, unpack, widen
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.selection.table import select_responses
from prefopt_core.store.artifacts import Artifact, Shard
from prefopt_core.store.store import Store

N = 32
SHARD = 500  # prompts: about a row group of vectors
DEFAULT_SHARD = 64  # of `prompts.shard_size`
MOST = 300  # MiB
WORDS = [
    "a response",
    "of some length",
    "that nobody",
    "will read",
    "because only its",
    "vector matters",
]

Pair = tuple[Artifact, Artifact]
"""The tables `candidates` and `embeddings`, shard by shard of the same prompts."""


def section(quick: bool) -> list[Row]:
    """Time the stage against its parts, then look at its memory and at how columns are read."""
    count = 2_000 if quick else 10_000
    rounds = 3 if quick else 5
    with tempfile.TemporaryDirectory() as name, threads(1):
        store = Store(Path(name))
        tables = fill(store, count, SHARD)
        rows = _stage(store, tables, count, rounds)
        small = fill(store, min(count, 2_000), DEFAULT_SHARD)
        rows += _by_shard_size(store, tables, small, count, rounds)
        rows += _memory(Path(name), tables, [1_000, 2_000] if quick else [2_000, 10_000])
        rows += _columns(store, tables[1], Path(name), rounds)
    return rows


def fill(store: Store, count: int, size: int) -> Pair:
    """Write so many prompts of N responses each, `size` prompts per shard."""
    candidates, embeddings = [], []
    for start in range(0, count, size):
        rng = np.random.default_rng(start)
        block = prompts(min(size, count - start), N, rng)
        ids = [f"{start * N + i:064x}" for i in range(len(block) * N)]
        vectors = pl.DataFrame({"candidate_id": ids, "vector": pack(block.reshape(-1, D))})
        candidates.append(store.put_table("candidates", _candidates(ids, start, rng)))
        embeddings.append(store.put_table("embeddings", vectors))
    return (
        Artifact(table="candidates", shards=tuple(candidates)),
        Artifact(table="embeddings", shards=tuple(embeddings)),
    )


def _candidates(ids: list[str], start: int, rng: np.random.Generator) -> pl.DataFrame:
    words = np.array(WORDS)[rng.integers(len(WORDS), size=(len(ids), 40))]
    return pl.DataFrame(
        {
            "prompt_id": [f"{start + i // N:064x}" for i in range(len(ids))],
            "candidate_id": ids,
            "sample": [i % N for i in range(len(ids))],
            "response": [" ".join(line) for line in words.tolist()],
            "policy": "benchmark",
            "finish_reason": "given",
            "prompt_token_ids": None,
            "response_token_ids": None,
            "logps": None,
            "template": None,
        },
        schema_overrides={
            "sample": pl.Int32(),
            "prompt_token_ids": pl.List(pl.Int32()),
            "response_token_ids": pl.List(pl.Int32()),
            "logps": pl.Float64(),
            "template": pl.String(),
        },
    )


def run(store: Store, tables: Pair, write: bool = True) -> None:
    """What the stage `select` does, shard by shard."""
    config = SelectionConfig()
    for number in range(len(tables[0].shards)):
        candidates, embeddings = (table.shard(number) for table in tables)
        found = select_responses(store.scan(candidates), store.read(embeddings), config, seed=0)
        if write:
            store.put_table("selections", found)


def _stage(store: Store, tables: Pair, count: int, rounds: int) -> list[Row]:
    paths = [store.shard_path(shard) for shard in tables[1].shards]
    vectors = [
        unpack(pl.read_parquet(path, columns=["vector"], glob=False)["vector"])
        for path in paths[:4]
    ]
    blocks = [rows.reshape(-1, N, D) for rows in vectors]
    some = sum(map(len, blocks))
    jobs = {
        "stage": Job(lambda: run(store, tables), count),
        "decode": Job(lambda: _over(paths, _decode), count),
        "widened": Job(lambda: _over(paths, lambda path: widen(_decode(path))), count),
        "kernel": Job(lambda: _over(blocks, batched), some),
        "matmul": Job(lambda: _over(blocks, bare), some),
    }
    times = race(jobs, rounds)
    what = f"Parquet → Parquet, {count} × {N} × {D}"
    ours = times["stage"]
    return [
        costs(what, "decoding the vector column (float16)", ours, times["decode"], 2.5),
        costs(what, "decoding it to float32", ours, times["widened"]),
        costs(what, "bare kernel, float32 in memory", ours, times["kernel"], 2.0),
        costs(what, "bare batched matmul", ours, times["matmul"]),
    ]


def _over(items: list, call: Callable[[object], object]) -> None:
    for item in items:
        call(item)


def _decode(path: Path) -> npt.NDArray[np.float16]:
    """The vector column alone, as it is."""
    return halves(pl.read_parquet(path, columns=["vector"], glob=False)["vector"])


def _by_shard_size(store: Store, large: Pair, small: Pair, count: int, rounds: int) -> list[Row]:
    """The default is made for generation: small shards."""
    jobs = {
        "large": Job(lambda: run(store, large), count),
        "small": Job(lambda: run(store, small), small[0].rows / N),
    }
    times = race(jobs, rounds)
    what = f"the stage, {DEFAULT_SHARD} prompts per shard (the default)"
    return [costs(what, f"{SHARD} prompts per shard", times["small"], times["large"])]


def _memory(root: Path, tables: Pair, counts: list[int]) -> list[Row]:
    """Peak memory of a process that runs the stage on few prompts or many."""
    root.joinpath("tables.json").write_text(json.dumps([t.model_dump_json() for t in tables]))
    peaks = [_peak(root, count // SHARD + bool(count % SHARD)) for count in counts]
    start, few, many = _peak(root, 0), *peaks
    grown = many - few
    text = f"{many} MiB"
    return [
        figure(
            f"peak memory, {counts[1]} prompts",
            text,
            f"after the imports alone: {start} MiB",
            target=f"≤ {MOST} MiB",
            met=many <= MOST,
        ),
        figure(
            f"peak memory, {counts[1]} prompts",
            text,
            f"{counts[0]} prompts",
            f"{few} MiB",
            "+ ≤ 10 %",
            grown <= 0.1 * few,
        ),
    ]


def _peak(root: Path, shards: int) -> int:
    module = "benchmarks.speed.parquet_to_parquet"
    command = [sys.executable, "-m", module, str(root), str(shards)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def child(root: Path, shards: int) -> int:
    """Run the stage on the first shards and give the peak memory in MiB."""
    texts = json.loads(root.joinpath("tables.json").read_text())
    tables = (Artifact.model_validate_json(text) for text in texts)
    parts = [table.model_copy(update={"shards": table.shards[:shards]}) for table in tables]
    if shards:
        run(Store(root), (parts[0], parts[1]))
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) // 1024


def _columns(store: Store, embeddings: Artifact, folder: Path, rounds: int) -> list[Row]:
    """The same vectors as lists: time until they are a matrix of float32."""
    shard: Shard = embeddings.shards[0]
    ours = store.shard_path(shard)
    rows = unpack(pl.read_parquet(ours, glob=False)["vector"])
    flat = pa.array(rows.ravel())
    arrays = {
        "fixed_size_list<float>": pa.FixedSizeListArray.from_arrays(flat, D),
        "list<float>": pa.ListArray.from_arrays(np.arange(0, rows.size + 1, D, np.int32), flat),
    }
    jobs = {"read": Job(lambda: _decode(ours)), "ours": Job(lambda: widen(_decode(ours)))}
    for number, (name, array) in enumerate(arrays.items()):
        path = folder / f"{number}.parquet"
        table = pa.table({"vector": array})
        pq.write_table(table, path, compression="none", use_dictionary=False)
        jobs[name] = Job(partial(_matrix, path))
    times: dict[str, Time] = race(jobs, 2 * rounds)
    what = f"vector column, {len(rows)} rows"
    found = []
    for name in arrays:
        goal = 5 if name.startswith("fixed") else None
        found.append(faster(f"{what}, read", f"`{name}`, read", times["read"], times[name], goal))
        found.append(faster(f"{what}, read and widened", f"`{name}`", times["ours"], times[name]))
    return found


def _matrix(path: Path) -> npt.NDArray[np.float32]:
    column = pq.read_table(path, columns=["vector"])["vector"].combine_chunks()
    return column.flatten().to_numpy().reshape(-1, D)


if __name__ == "__main__":
    print(child(Path(sys.argv[1]), int(sys.argv[2])))
