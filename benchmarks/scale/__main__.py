"""What breaks first at 10⁶ prompts × 64, 10⁸ vectors, 100 GPUs, 10⁶ labels: on paper.

`python -m benchmarks.scale --write docs/scale.md` measures everything at two small sizes, extends
it in a line (time over pools: by its power) and writes the page. `--figures FILE` keeps what was
measured, and measures only what is not in it.
"""

import argparse
import json
from pathlib import Path

from benchmarks.printing import cores, load, progress, say
from benchmarks.scale.measuring import MEASURES, measured
from benchmarks.scale.page import page
from benchmarks.scale.tables import Figures

SIZES = {
    "rows": (128, 512),
    "prompts": (4_000, 16_000),
    "budget": (20_000, 80_000),
    "shards": (100, 400),
    "requests": (10, 40),
    "workers": (40, 120),
    "pools": (32_000, 128_000),
    "desk": (4_000, 16_000),
    "labels": (700, 2_000),
}
"""Prompts, shards, rows or labels at which each is measured."""


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--write", type=Path, help="the page, instead of printing it")
    parser.add_argument("--figures", type=Path, help="a .json with what was measured")
    asked = parser.parse_args()
    kept = asked.figures
    known: dict[str, dict[str, Figures]] = (
        json.loads(kept.read_text()) if kept and kept.is_file() else {}
    )
    for name in MEASURES:
        for size in SIZES[name]:
            if str(size) in known.setdefault(name, {}):
                continue
            progress(f"{name}, {size:,}")
            known[name][str(size)] = measured(name, size)
            if kept:
                kept.write_text(json.dumps(known, indent=1))
    by_size = {name: {int(at): found for at, found in of.items()} for name, of in known.items()}
    text = page(by_size, f"{cores()}, {load()}")
    if asked.write:
        asked.write.write_text(text)
    else:
        say(text)


if __name__ == "__main__":
    main()
