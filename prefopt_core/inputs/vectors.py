"""Reading embeddings from a user's Parquet file, in batches, as NumPy arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefopt_core.ground.errors import DataError
from prefopt_core.inputs.settings import StratifiedConfig

BATCH = 8192  # rows in memory at once
BUFFER = 2**20  # bytes read at once; without it, and with `pre_buffer`, a whole row group is
ROUNDED = 1e-3  # how far float16 moves the length of a unit vector, at most


@dataclass(frozen=True)
class VectorFile:
    """A Parquet file with a column of vectors, all of the same dimension.

    The column is fixed_size_binary (little-endian float16), or a list of floats, of fixed size or
    not. float16 as fixed_size_binary reads fastest, see `prefopt_core.ground.vectors`.

    Attributes:
        path: The file.
        column: The column's name.

    Raises:
        DataError: By every method: the file cannot be read, or has no such column.
    """

    path: Path
    column: str

    @property
    def rows(self) -> int:
        """Number of vectors."""
        return int(self._open(self.column).metadata.num_rows)

    @property
    def d(self) -> int:
        """Dimension of the first vector.

        Raises:
            DataError: The file has no rows.
        """
        first = next(self.blocks(batch=1), None)
        if first is None:
            raise DataError(f"{self.path} has no rows.")
        return first.shape[1]

    def others(self) -> pl.LazyFrame:
        """The file's columns but that of vectors, lazily."""
        file = pl.scan_parquet(self.path.absolute(), glob=False, hive_partitioning=False)
        return file.drop(self.column)

    def blocks(self, batch: int = BATCH) -> Iterator[npt.NDArray[np.floating]]:
        """Yield (m, d) float32 vectors of unit length; those within `ROUNDED` of it unscaled.

        Raises:
            DataError: A vector is missing, zero, not finite, or of another dimension.
        """
        start, d = 0, None
        for part in self._batches(batch):
            if not len(part):
                continue
            rows = self._matrix(part.column(0), start, d)
            length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
            unfit = ~((length > 0) & np.isfinite(length))
            if unfit.any():
                raise DataError(
                    f"{self._row(start, unfit)}: the vector in {self.column!r} is zero, or holds "
                    "a value that is missing or not finite. Embed it again, or leave it out."
                )
            start, d = start + len(rows), rows.shape[1]
            length[np.abs(length - 1) < ROUNDED] = 1  # float16 values stay bit for bit
            yield (rows / length[:, None]).astype(np.float32)

    def _batches(self, batch: int) -> Iterator[pa.RecordBatch]:
        with self._read():
            yield from self._open(self.column).iter_batches(batch, columns=[self.column])

    @contextmanager
    def _read(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeError, MemoryError) as error:
            raise DataError(
                f"{self.path} cannot be read as Parquet: {str(error).strip().rstrip('.')}. Vectors "
                "are read from Parquet only; if it is Parquet, it may be cut off: write it again."
            ) from error

    def texts(self, column: str) -> npt.NDArray[Any]:
        """(n,) another column as texts, such as the strata.

        Raises:
            DataError: The column holds neither texts nor numbers, or a value is missing.
        """
        with self._read():
            values = self._open(column).read(columns=[column]).column(0)
        try:
            texts = np.asarray(values.cast(pa.string()).to_numpy())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            raise DataError(
                f"{self.path}: {column!r} holds {values.type}; expected texts or numbers that name "
                "each row's stratum."
            ) from error
        missing = pc.is_null(values, nan_is_null=True).to_numpy() | (texts == "")
        if missing.any():
            raise DataError(
                f"{self._row(0, missing)}: no stratum in {column!r}. Give every row one, for "
                "example 'other'."
            )
        return texts

    def _open(self, column: str) -> pq.ParquetFile:
        if not self.path.is_file():
            raise DataError(f"There is no file {self.path}. Give the path of a .parquet.")
        with self._read():
            file = pq.ParquetFile(self.path.absolute(), buffer_size=BUFFER, pre_buffer=False)
            names = file.schema_arrow.names
        if column not in names:
            raise DataError(f"{self.path} has no column {column!r}. It has: {', '.join(names)}.")
        return file

    def _row(self, start: int, unfit: npt.NDArray[np.bool_]) -> str:
        """File and number of the first unfit row, counted from 1."""
        return f"{self.path}, row {start + int(unfit.argmax()) + 1}"

    def _matrix(self, values: pa.Array, start: int, d: int | None) -> npt.NDArray[np.floating]:
        if values.null_count:
            missing = np.asarray(values.is_null())
            raise DataError(
                f"{self._row(start, missing)}: no vector in {self.column!r}. Embed it, or leave it "
                "out."
            )
        kind = values.type
        if pa.types.is_fixed_size_binary(kind) and kind.byte_width % 2 == 0:
            width = kind.byte_width // 2
            flat = np.frombuffer(values.buffers()[1], dtype="<f2")[values.offset * width :]
            return flat[: len(values) * width].reshape(-1, width).astype(np.float32)
        if not _is_list(kind) or not pa.types.is_floating(kind.value_type):
            raise DataError(
                f"{self.path}: {self.column!r} holds {kind}; expected a list of floats, or "
                "fixed_size_binary of float16. Write it as one of them."
            )
        d = self._even_length(values, start, d)
        return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), d)

    def _even_length(self, values: pa.Array, start: int, d: int | None) -> int:
        """The common length of these lists, which must be `d` unless that is None."""
        lengths = np.asarray(values.value_lengths())
        d = int(lengths[0]) if d is None else d
        uneven = lengths != d
        if uneven.any():
            raise DataError(
                f"{self._row(start, uneven)}: a vector of {lengths[uneven.argmax()]} numbers in "
                f"{self.column!r}; those before have {d}. Embed all rows with one model."
            )
        return d


def _is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a list, large list (as polars writes) or fixed-size list."""
    of_a_kind = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in of_a_kind)


def strata_of_rows(config: StratifiedConfig) -> npt.NDArray[np.str_] | None:
    """(n,) the stratum of every row of a file; None if no column is named.

    Raises:
        DataError: The file cannot be read, or has no such column, or a stratum is missing.
    """
    if config.strata is None:
        return None
    return VectorFile(Path(config.path), config.column).texts(config.strata)
