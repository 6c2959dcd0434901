"""Embedding vectors as a table column: little-endian float16, a fixed number of bytes per row.

Fixed-size binary reads several times faster from Parquet than a list column, and float16 moves a
cosine by less than 1e-3. Vectors are computed with in float32.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from prefopt_core.ground.errors import DataError

ELEMENT = np.dtype("<f2")
Halves = npt.NDArray[np.float16]


def pack(vectors: npt.NDArray[np.floating]) -> pl.Series:
    """Turn (n, d) vectors into a binary column of n rows."""
    halves = np.ascontiguousarray(vectors, dtype=ELEMENT)
    kind = pa.binary(halves.shape[1] * ELEMENT.itemsize)
    array = pa.FixedSizeBinaryArray.from_buffers(kind, len(halves), [None, pa.py_buffer(halves)])
    return pl.Series(pl.from_arrow(array)).cast(pl.Binary)


def halves(column: pl.Series) -> Halves:
    """A column made by `pack` as (n, d) float16, read-only."""
    if column.is_empty():
        return np.zeros((0, 0), dtype=ELEMENT)
    width = len(column[0])
    array = column.to_arrow().cast(pa.binary(width))
    flat = np.frombuffer(array.buffers()[1], dtype=ELEMENT)
    size = width // ELEMENT.itemsize
    return flat[array.offset * size :][: len(column) * size].reshape(-1, size)


def widen(halves: Halves, out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
    """Convert finite float16 to float32, exactly; six times as fast as NumPy's own conversion.

    The sign stays on top, exponent and mantissa move up by 13 bits, and a multiplication by 2¹¹²
    corrects the bias of the exponent (127 in float32, 15 in float16).

    Args:
        halves: Any shape.
        out: Where to put the result; a new array if None.

    Raises:
        DataError: A value is infinite or not a number.
    """
    halves = np.asarray(halves, dtype=ELEMENT)
    magnitude = halves.view("<u2") << 1  # without the sign
    if magnitude.max(initial=0) >= 0xF800:
        row = np.argwhere(magnitude >= 0xF800)[0].tolist()
        raise DataError(
            f"The embedding at {row[:-1]} holds a value that is not finite. Embed the texts again, "
            "or use another embedder."
        )
    out = np.empty(halves.shape, dtype=np.float32) if out is None else out
    bits = out.view(np.int32)
    np.copyto(bits, halves.view("<i2"))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)
    return np.multiply(out, np.float32(2.0**112), out=out)


def unpack(column: pl.Series) -> npt.NDArray[np.float32]:
    """Turn a column made by `pack` back into (n, d) float32 vectors.

    Raises:
        DataError: A value is infinite or not a number.
    """
    return widen(halves(column))
