"""Embeddings as bytes: what is packed comes back, however the column was cut since."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.vectors import pack, unpack, widen
from prefopt_core.selection.similarity import cosine
from prefopt_core.store.artifacts import Artifact

vectors = arrays(
    np.float16,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(width=16, allow_nan=False, allow_infinity=False),
)


def table(vectors):
    ids = [f"c{i}" for i in range(len(vectors))]
    columns = {"candidate_id": pl.Series(ids, dtype=pl.String), "vector": pack(vectors)}
    return pl.DataFrame(columns)


def unit(n, d, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(n, d))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_bytes_are_half_floats_little_end_first():
    assert pack(np.array([[1.0, -2.0], [0.0, 65504.0]])).to_list() == [
        b"\x00\x3c\x00\xc0",
        b"\x00\x00\xff\x7b",
    ]


@given(vectors)
def test_half_floats_come_back_exactly(vectors):
    unpacked = unpack(pack(vectors))
    assert unpacked.dtype == np.float32
    assert np.array_equal(unpacked, vectors.astype(np.float32))


@given(vectors, st.data())
def test_parts_of_a_column_unpack_like_parts_of_the_array(vectors, data):
    cut = data.draw(st.integers(0, len(vectors) - 1))
    column, expected = pack(vectors), vectors.astype(np.float32)
    chunks = pl.concat([column[:cut], column[cut:]], rechunk=False)
    keep = np.arange(len(vectors)) % 2 == cut % 2
    assert np.array_equal(unpack(column[cut:]), expected[cut:])
    assert np.array_equal(unpack(chunks), expected)
    assert np.array_equal(unpack(chunks[cut:]), expected[cut:])
    if keep.any():
        assert np.array_equal(unpack(column.filter(pl.Series(keep))), expected[keep])


def test_short_vectors_are_their_own_beside_what_a_longer_one_left():
    """Arrow has them in place, and the buffer of the longer one is still there."""
    short, longer = np.array([[1.0, 2.0, 3.0, 4.0]]), np.ones((2, 20))
    both = pl.Series([*pack(short), *pack(longer)])
    assert unpack(both.filter(pl.Series([True, False, False]))).tolist() == short.tolist()


def test_order_of_the_array_in_memory_does_not_matter():
    vectors = unit(5, 3)
    assert pack(np.asfortranarray(vectors)).equals(pack(vectors))
    assert pack(vectors[::2]).equals(pack(vectors)[::2])


def test_cosines_move_by_less_than_a_thousandth():
    vectors = unit(50, 384)
    moved = np.abs(cosine(unpack(pack(vectors))) - cosine(vectors))
    assert moved.max() < 1e-3


def test_no_vectors_make_an_empty_column():
    assert pack(np.zeros((0, 384))).dtype == pl.Binary
    assert unpack(pack(np.zeros((0, 384)))).shape == (0, 0)


def test_parquet_holds_them_at_a_fixed_width_that_says_what_it_is(store):
    vectors = unit(7, 16)
    shard = store.put_table("embeddings", table(vectors))
    field = pq.read_schema(store.shard_path(shard)).field("vector")
    assert field.type.byte_width == 32
    assert field.metadata == {b"element": b"float16", b"d": b"16"}
    artifact = Artifact(table="embeddings", shards=(shard,))
    expected = vectors.astype(np.float16).astype(np.float32)
    assert np.array_equal(unpack(store.read(artifact)["vector"]), expected)
    assert np.array_equal(unpack(store.scan(artifact).collect()["vector"]), expected)


def test_empty_shard_joins_full_ones(store):
    shards = [store.put_table("embeddings", table(unit(n, 4))) for n in (2, 0)]
    read = store.read(Artifact(table="embeddings", shards=tuple(shards)))
    assert unpack(read["vector"]).shape == (2, 4)


def test_every_finite_half_float_is_widened_exactly():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    widened = widen(finite)
    assert np.array_equal(widened.view(np.int32), finite.astype(np.float32).view(np.int32))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(DataError, match=r"embedding at \[1\] holds a value that is not finite"):
        widen(np.array([[1.0, 2.0], [3.0, value]], dtype=np.float16))
