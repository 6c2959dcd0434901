"""Embeddings that users bring in a Parquet file: read in batches, never as Python lists."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from prefopt_core.errors import DataError

BATCH = 8192  # rows in memory at once


@dataclass(frozen=True)
class VectorFile:
    """A Parquet file with a column of vectors, all of the same length.

    The column is fixed_size_binary (little-endian float16), or a list of floats, of fixed size or
    not. float16 as fixed_size_binary reads fastest, see `prefopt_core.vectors`.

    Attributes:
        path: The file.
        column: The column's name.
    """

    path: Path
    column: str

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return int(self._open().metadata.num_rows)

    @property
    def d(self) -> int:
        """How many dimensions the first of them has."""
        first = next(self.blocks(batch=1), None)
        if first is None:
            raise DataError(f"{self.path} has no rows.")
        return first.shape[1]

    def blocks(self, batch: int = BATCH) -> Iterator[npt.NDArray[np.float32]]:
        """Yield (m, d) rows scaled to unit length."""
        start = 0
        for part in self._open().iter_batches(batch, columns=[self.column]):
            rows = self._matrix(part.column(0), start)
            length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
            unfit = ~((length > 0) & np.isfinite(length))
            if unfit.any():
                raise DataError(
                    f"{self.path}, row {start + int(unfit.argmax()) + 1}: the vector in "
                    f"{self.column!r} is zero or not finite. Embed it again, or leave it out."
                )
            start += len(rows)
            yield (rows / length[:, None]).astype(np.float32)

    def labels(self, column: str) -> npt.NDArray[Any]:
        """(n,) another column as texts."""
        self._require(column)
        values = pq.read_table(self.path, columns=[column]).column(0)
        return np.asarray(values.cast(pa.string()).to_numpy())

    def _open(self) -> pq.ParquetFile:
        if not self.path.is_file():
            raise DataError(f"There is no file {self.path}. Give the path of a .parquet.")
        try:
            file = pq.ParquetFile(self.path)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self.path} cannot be read as Parquet: {error}.") from error
        self._require(self.column, file.schema_arrow.names)
        return file

    def _require(self, column: str, names: list[str] | None = None) -> None:
        names = self._open().schema_arrow.names if names is None else names
        if column not in names:
            raise DataError(f"{self.path} has no column {column!r}. It has: {', '.join(names)}.")

    def _matrix(self, values: pa.Array, start: int) -> npt.NDArray[np.floating]:
        if values.null_count:
            row = start + int(np.asarray(values.is_null()).argmax()) + 1
            raise DataError(f"{self.path}, row {row}: no vector in {self.column!r}.")
        if pa.types.is_fixed_size_binary(values.type):
            width = values.type.byte_width // 2
            flat = np.frombuffer(values.buffers()[1], dtype="<f2")[values.offset * width :]
            return flat[: len(values) * width].reshape(-1, width).astype(np.float32)
        if not (pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type)):
            raise DataError(
                f"{self.path}: {self.column!r} holds {values.type}; expected a list of floats, or "
                "fixed_size_binary of float16."
            )
        flat = values.flatten().to_numpy(zero_copy_only=False)
        if flat.dtype.kind != "f" or len(flat) % max(1, len(values)):
            raise DataError(
                f"{self.path}, rows {start + 1} to {start + len(values)}: {self.column!r} must "
                f"hold lists of floats, all of the same length, none of them empty: {flat.dtype}."
            )
        self._require_even(values, start)
        return flat.reshape(len(values), -1)

    def _require_even(self, values: pa.Array, start: int) -> None:
        if pa.types.is_fixed_size_list(values.type):
            return
        lengths = np.asarray(values.value_lengths())
        if (lengths != lengths[0]).any():
            row = int((lengths != lengths[0]).argmax())
            raise DataError(
                f"{self.path}, row {start + row + 1}: a vector of {lengths[row]} numbers in "
                f"{self.column!r}, and others have {lengths[0]}. Embed them with one model."
            )
