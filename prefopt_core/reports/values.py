"""Values of tables, and texts, shortened to fit a line."""

from typing import Any

import polars as pl

from prefopt_core.ground.foreign import cut, visible
from prefopt_core.ground.vectors import unpack

_LONGEST = 200
"""Characters of a text that are shown of it: two or three lines."""


def shown(name: str, value: Any) -> str:
    """A value of the column `name` as a text for a cell of a table on a terminal."""
    if value is None:
        return ""
    if name == "vector":
        vector = unpack(pl.Series([value], dtype=pl.Binary))[0]
        return f"{len(vector)} × " + " ".join(f"{x:+.2f}" for x in vector[:4]) + " …"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return shortened(" / ".join(f"{m['role']}: {m['content']}" for m in value), _LONGEST)
    if name == "responses" and isinstance(value, list):  # ids, as those below
        return " ".join(str(each)[:8] for each in value)
    if isinstance(value, list):
        return shortened(" ".join(map(str, value)), 24)
    if name.endswith("_id") or name in ("policy", "template"):
        return str(value)[:8]
    return shortened(str(value), _LONGEST)


def shortened(text: str, length: int) -> str:
    """A text on one line, cut to `length` characters."""
    return cut(visible(" ".join(text.split())), length)
