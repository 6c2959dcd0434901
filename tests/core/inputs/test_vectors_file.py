"""Embeddings that users bring: every layout gives the same rows; what is wrong is told by its row.

The large file at the end runs in a process of its own, whose memory is measured.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.vectors import pack
from prefopt_core.inputs.vectors import VectorFile

N, D = 50, 6


@pytest.fixture(scope="module")
def unit():
    """(50, 6) float32, unit rows that float16 holds exactly enough."""
    rows = np.random.default_rng(0).normal(size=(N, D))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return rows.astype(np.float32)


@pytest.fixture
def parquet(tmp_path):
    """Write columns as a Parquet file; more arguments go to the writer."""

    def parquet(vectors, row_group_size=None, **columns):
        path = tmp_path / "v.parquet"
        table = pa.table({"id": range(len(vectors)), "v": vectors, **columns})
        pq.write_table(table, path, row_group_size=row_group_size)
        return VectorFile(path, "v")

    return parquet


def halves(rows):
    return pa.array([row.astype("<f2").tobytes() for row in rows], pa.binary(2 * D))


LAYOUTS = {
    "fixed_size_binary": halves,
    "fixed_size_list<float>": lambda r: pa.array(r.tolist(), pa.list_(pa.float32(), D)),
    "fixed_size_list<double>": lambda r: pa.array(r.tolist(), pa.list_(pa.float64(), D)),
    "list<halffloat>": lambda r: pa.array(list(r.astype(np.float16)), pa.list_(pa.float16())),
    "list<float>": lambda r: pa.array(r.tolist(), pa.list_(pa.float32())),
    "list<double>": lambda r: pa.array(r.tolist(), pa.list_(pa.float64())),
    "large_list<float>": lambda r: pa.array(r.tolist(), pa.large_list(pa.float32())),
    "chunked": lambda r: pa.chunked_array([halves(r[:20]), halves(r[20:21]), halves(r[21:])]),
    "a slice": lambda r: halves(np.concatenate([r[::-1], r]))[len(r) :],
    "a slice of lists": lambda r: pa.array([[9.0], [], *r.tolist()])[2:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row_group_size", [None, 7], ids=["one group", "groups of 7"])
def test_every_layout_gives_the_same_rows(parquet, unit, layout, row_group_size):
    file = parquet(LAYOUTS[layout](unit), row_group_size)
    assert (file.rows, file.d) == (N, D)
    for batch in (1, 9, N, 8192):
        blocks = list(file.blocks(batch))
        assert max(map(len, blocks)) <= batch
        assert all(block.dtype == np.float32 for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), unit)


def test_what_polars_writes_is_read(tmp_path, unit):
    frame = pl.DataFrame(
        {"list": unit.tolist(), "array": unit}, schema_overrides={"list": pl.List(pl.Float32)}
    )
    assert frame.schema["array"] == pl.Array(pl.Float32, D)
    frame.write_parquet(tmp_path / "v.parquet")
    for column in frame.columns:
        (block,) = VectorFile(tmp_path / "v.parquet", column).blocks()
        np.testing.assert_array_equal(block, unit)


def test_what_the_store_writes_is_read(store, unit):
    frame = pl.DataFrame({"prompt_id": [f"{i:03}" for i in range(N)]})
    shard = store.put_table("prompt_embeddings", frame.with_columns(vector=pack(unit)))
    (block,) = VectorFile(store.shard_path(shard), "vector").blocks()
    np.testing.assert_array_equal(block, unit)


@pytest.mark.parametrize("scale", [1e-30, 0.3, 7.0, 1e30])
def test_rows_are_scaled_to_unit_length(parquet, unit, scale):
    rows = unit.astype(np.float64) * scale * np.arange(1, N + 1)[:, None]
    (block,) = parquet(pa.array(rows.tolist())).blocks()
    np.testing.assert_allclose(np.linalg.norm(block, axis=1), 1, rtol=1e-6)
    expected = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(block, expected, atol=2e-7)


def test_rows_of_unit_length_keep_their_bytes(parquet):
    rows = np.random.default_rng(1).normal(size=(2000, D))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    assert (np.linalg.norm(rows.astype(np.float64), axis=1) != 1).any()
    (block,) = parquet(halves(rows)).blocks()
    np.testing.assert_array_equal(block.astype(np.float16), rows)


def changed(rows, row, value):
    lists = rows.tolist()
    lists[row] = value
    return pa.array(lists, pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([0.0] * D, "v.parquet, row 34: the vector in 'v' is zero, or holds a value"),
        ([float("nan")] * D, "v.parquet, row 34: the vector in 'v' is zero, or holds a value"),
        ([1.0, float("inf"), *[0.0] * (D - 2)], "v.parquet, row 34: the vector in 'v' is zero"),
        ([1.0, None, *[0.0] * (D - 2)], "v.parquet, row 34: the vector in 'v' is zero"),
        (None, "v.parquet, row 34: no vector in 'v'"),
        ([], "v.parquet, row 34: a vector of 0 numbers in 'v'; those before have 6"),
        ([1.0] * (D + 1), "v.parquet, row 34: a vector of 7 numbers in 'v'; those before have 6"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value)[:20],
)
@pytest.mark.parametrize("batch", [3, 5, 11, 8192])  # row 34 is the first of a batch, and is not
def test_a_bad_vector_is_told_by_its_row(parquet, unit, value, said, batch):
    file = parquet(changed(unit, 33, value), row_group_size=10)
    with pytest.raises(DataError, match=said):
        list(file.blocks(batch))


def test_a_missing_fixed_size_vector_is_told_by_its_row(parquet, unit):
    for layout in ("fixed_size_binary", "fixed_size_list<float>"):
        whole = LAYOUTS[layout](unit)
        column = pa.concat_arrays([whole[:3], pa.nulls(1, whole.type), whole[4:]])
        with pytest.raises(DataError, match="row 4: no vector in 'v'"):
            list(parquet(column).blocks())


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["text"] * 3),
        pa.array([1.0] * 3),
        pa.array([[1, 2]] * 3),
        pa.array([["a"]] * 3),
        pa.array([b"ab"] * 3),
        pa.array([b"abc"] * 3, pa.binary(3)),
        pa.array([[[1.0]]] * 3),
    ],
    ids=lambda values: str(values.type),
)
def test_a_column_of_another_type_is_refused(parquet, values):
    file = parquet(values)
    with pytest.raises(DataError, match=r"'v' holds .*expected a list of floats, or fixed_size"):
        list(file.blocks())


def test_a_file_that_is_none_is_refused(tmp_path, parquet, unit):
    with pytest.raises(DataError, match=r"There is no file /nowhere.parquet"):
        _ = VectorFile(tmp_path.joinpath("/nowhere.parquet"), "v").rows
    text = tmp_path / "prompts.csv"
    text.write_text("prompt\nhi\n")
    with pytest.raises(DataError, match=r"prompts.csv cannot be read as Parquet: .* Vectors are"):
        _ = VectorFile(text, "v").rows
    file = parquet(halves(unit))
    with pytest.raises(DataError, match=r"has no column 'w'. It has: id, v."):
        _ = VectorFile(file.path, "w").rows
    file.path.write_bytes(file.path.read_bytes()[:-40])
    with pytest.raises(DataError, match="it may be cut off"):
        _ = file.rows
    with pytest.raises(DataError, match="has no rows"):
        _ = parquet(halves(unit)[:0]).d


# --- labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["1", "2", "1"]),
        pa.array([1, 2, 1]),
        pa.array(["1", "2", "1"], pa.large_string()),
        pa.array(["1", "2", "1"]).dictionary_encode(),
        pa.chunked_array([["1"], ["2", "1"]]),
    ],
    ids=lambda column: str(column.type),
)
def test_labels_are_texts(parquet, unit, column):
    assert parquet(halves(unit[:3]), topic=column).texts("topic").tolist() == ["1", "2", "1"]


@pytest.mark.parametrize("missing", [None, "", float("nan")])
def test_a_missing_label_is_told_by_its_row(parquet, unit, missing):
    kind = float if isinstance(missing, float) else str
    column = pa.array([kind(1), missing, kind(2)], from_pandas=False)
    with pytest.raises(DataError, match=r"v.parquet, row 2: no stratum in 'topic'. Give every"):
        parquet(halves(unit[:3]), topic=column).texts("topic")


def test_labels_must_be_there_and_be_texts(parquet, unit):
    file = parquet(halves(unit[:3]), topics=pa.array([["a"], ["b"], []]))
    with pytest.raises(DataError, match=r"has no column 'topic'. It has: id, v, topics."):
        file.texts("topic")
    with pytest.raises(DataError, match=r"'topics' holds list<.*expected texts or numbers"):
        file.texts("topics")


# --- a large file -----------------------------------------------------------------------------

_READ = """
import sys
from pathlib import Path

from prefopt_core.inputs.vectors import VectorFile

def peak():  # not ru_maxrss, which a process begins with at its parent's
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

file, before = VectorFile(Path(sys.argv[1]), "v"), peak()
assert sum(map(len, file.blocks())) == file.rows and file.d
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_large_file_is_never_in_memory(run_code, tmp_path):
    n, d = 300_000, 256
    rows = np.random.default_rng(0).random((n, d), dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(rows.ravel(), d)
    pq.write_table(pa.table({"v": column}), tmp_path / "v.parquet")  # one row group
    assert int(run_code(_READ, tmp_path / "v.parquet")) < rows.nbytes * 0.7
