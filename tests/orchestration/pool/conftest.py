"""`prefopt pool` on 81 questions of three topics, or on their embeddings."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefopt_core.embedding.hashing import embed

TOPICS = {
    "mail": ["password", "inbox", "spam filter"],
    "network": ["wifi", "router"],
    "printer": ["paper jam", "toner", "scanner", "tray"],
}
READERS = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}


@pytest.fixture
def questions():
    """(text, topic) of every question."""
    return [
        (f"How do I {verb} my {thing}{end}", topic)
        for end in ("?", " at home?", " in the office?")
        for topic, things in TOPICS.items()
        for thing in things
        for verb in ("fix", "replace", "find")
    ]


@pytest.fixture
def rows(questions):
    """The questions as rows of a file."""
    return [{"prompt": text, "topic": topic} for text, topic in questions]


@pytest.fixture
def prompts(write, rows):
    """The same prompts as a file of any ending."""

    def prompts(ending):
        if ending == "csv":
            lines = "".join(f"{row['prompt']},{row['topic']}\n" for row in rows)
            return write("prompts.csv", "prompt,topic\n" + lines)
        return write(f"prompts.{ending}", rows)

    return prompts


@pytest.fixture
def choose(prefopt, store, tmp_path):
    """Run `prefopt pool` on a file; returns what it wrote and what it printed."""

    def choose(file, *options, output="chosen.parquet", count=10):
        path = tmp_path / output
        arguments = ["--count", count, "--output", path, "--embedder", "hashing", *options]
        code, printed, error = prefopt("pool", file, *arguments)
        assert (code, error) == (0, "")
        return READERS[path.suffix](path), printed

    return choose


@pytest.fixture
def refused(prefopt, store, tmp_path):
    """Run `prefopt pool` on a file where it must end in one line; returns that line."""

    def refused(file, *options):
        output = tmp_path / "refused" / "chosen.csv"
        arguments = ["--count", 10, "--output", output, "--embedder", "hashing", *options]
        code, printed, error = prefopt("pool", file, *arguments)
        assert code == 2
        assert error.startswith("prefopt: ")
        assert error.count("\n") == 1, error
        assert "Traceback" not in error + printed
        assert not output.parent.exists()
        return error

    return refused


@pytest.fixture
def vectors(tmp_path, questions):
    """Write the embeddings of the texts, or others, with more columns, as Parquet."""

    def vectors(rows=None, **columns):
        rows = embed([text for text, _ in questions]) if rows is None else np.asarray(rows)
        if rows.dtype == object or rows.dtype.kind != "f":
            column = pa.array(rows.tolist())
        else:
            flat = pa.array(rows.astype(np.float32).ravel())
            column = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
        path = tmp_path / "vectors.parquet"
        pq.write_table(pa.table({"v": column, **columns}), path, row_group_size=30)
        return path

    return vectors
