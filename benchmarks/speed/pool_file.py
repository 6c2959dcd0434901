"""Write a Parquet of clustered embeddings with copies among them: `prefopt pool` on 10⁷ rows.

The vectors are float16 of unit length as fixed_size_binary; clusters have Zipf sizes, and one row
in five is a copy of another, exact or near. Rows are written as they are drawn.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

D = 384
GROUP = 16_384  # rows drawn and written at once
NOISE = 1.1  # of a row around its centre, of length 1 in each dimension
COPIES = (0.0, 0.1, 0.25)  # noise of a copy around its original


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.pool_file", description=__doc__
    )
    parser.add_argument("file", type=Path, help="a .parquet to write; 780 MB for 10⁶ rows")
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(100, arguments.rows // 1000), D), dtype=np.float32)
    schema = pa.schema([("vector", pa.binary(2 * D)), ("id", pa.int64())])
    previous = np.empty((0, D), dtype=np.float32)
    with pq.ParquetWriter(arguments.file, schema, compression="none", use_dictionary=False) as out:
        for start in range(0, arguments.rows, GROUP):
            count = min(GROUP, arguments.rows - start)
            rows = centres[rng.zipf(1.3, count) % len(centres)]
            rows = rows + NOISE * rng.standard_normal((count, D), dtype=np.float32)
            copied = min(count, len(previous)) // 5
            noise = rng.choice(COPIES, copied)[:, None].astype(np.float32)
            drawn = rng.standard_normal((copied, D), dtype=np.float32)
            rows[:copied] = previous[:copied] + noise * drawn
            previous = rows
            unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            flat = pa.py_buffer(np.ascontiguousarray(unit, dtype="<f2"))
            vectors = pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * D), count, [None, flat])
            ids = pa.array(np.arange(start, start + count))
            out.write_table(pa.table([vectors, ids], schema=schema))


if __name__ == "__main__":
    main()
