"""Metrics of comparisons that the repository keeps, so that nobody has to compute them again.

A file in benchmarks/records/ for each preset: its table `comparison`, and of every row what it was
made with. The settings stand there in full, so a figure is taken for that of today's preset only
where all settings are what they were, whatever has become their default since.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import torch
from pydantic import ValidationError

import tasks
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.grid import Cell
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.files import write_whole
from prefopt_core.ground.tables import TABLES
from prefopt_core.store.locks import locked
from prefopt_core.store.parquet import write_parquet
from tasks.stage import StageTask

RECORDS = Path("benchmarks/records")

_ASIDE = {"seed", "name", "continues", "tracking", "execution"}
_MADE = ("settings", "machine", "commit", "stages")
_EMPTY = pl.DataFrame(schema=TABLES["comparison"].columns | dict.fromkeys(_MADE, pl.String()))


class Records:
    """The recorded cells of one preset.

    Args:
        path: Of their Parquet file; none need be there. None: they are forgotten afterwards.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._rows = _read(path)

    @classmethod
    def of_preset(cls, name: str, changes: Mapping[str, Any]) -> "Records":
        """Those of a preset; of one with other settings, which may name this machine, none."""
        return cls(None if changes else RECORDS / f"{Path(name).stem}.parquet")

    def table(self, cells: Sequence[Cell]) -> pl.DataFrame:
        """What is recorded of cells: a table `comparison`, and of every row how it was made."""
        return pl.concat([_EMPTY, *map(self._of, cells)])

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells of one seed that have to be run.

        All are of one kind of machine, this one unless another has them all: arms are compared
        within a seed, and a start policy that is trained there is not quite that trained here.
        """
        recorded = [self._of(cell) for cell in cells]
        if set.intersection(*(set(rows["machine"]) for rows in recorded)):
            return []
        here = machine()
        told = zip(cells, recorded, strict=True)
        return [cell for cell, rows in told if here not in rows["machine"]]

    def add(self, cell: Cell, table: pl.DataFrame) -> None:
        """Keep the metrics of a cell that was run here and now, in place of those it had.

        Args:
            cell: The cell.
            table: Its rows of a table `comparison`.
        """
        versions = json.dumps(stage_versions(), sort_keys=True)
        made = zip(_MADE, (_settings(cell), machine(), commit(), versions), strict=True)
        fresh = table.with_columns(pl.lit(text).alias(name) for name, text in made)
        if self.path is None:
            self._rows = _with(self._rows, cell, fresh)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Others may record other cells meanwhile.
        with locked(self.path.with_suffix(".lock"), "recording", passing=True):
            self._rows = _with(_read(self.path), cell, fresh)
            write_whole(self.path, partial(write_parquet, self._rows))

    def _of(self, cell: Cell) -> pl.DataFrame:
        rows = self._rows.filter(_is(cell))
        return rows if rows.height and _same(rows["settings"][0], cell) else rows.clear()


def _read(path: Path | None) -> pl.DataFrame:
    return pl.read_parquet(path, glob=False) if path and path.exists() else _EMPTY


def _with(rows: pl.DataFrame, cell: Cell, fresh: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([rows.filter(~_is(cell)), fresh]).sort("seed", "arm", "round", "metric")


def _is(cell: Cell) -> pl.Expr:
    return (pl.col("arm") == cell.arm) & (pl.col("seed") == cell.config.seed)


def _settings(cell: Cell) -> str:
    settings = cell.config.model_dump(mode="json", exclude=_ASIDE)
    return json.dumps({"flow": cell.flow, **settings})


def _same(recorded: str, cell: Cell) -> bool:
    """Whether a cell has the recorded settings; those that are new since then have defaults."""
    settings = json.loads(recorded)
    kind = CONFIGS[settings.pop("flow")]
    try:
        then = kind.model_validate(settings | {"seed": cell.config.seed})
    except (ValidationError, ConfigError):  # there is a setting that is no more
        return False
    return type(then) is type(cell.config) and then.digest == cell.config.digest


def machine() -> str:
    """What results are computed on: machines of one kind compute the same bytes."""
    place = _processor()
    if torch.cuda.is_available():
        place = f"{torch.cuda.get_device_name()}, {place}"
    kind = torch.backends.cpu.get_cpu_capability()
    return f"{place}, {kind}, {os.cpu_count()} cores, torch {version('torch')}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit that is checked out, with a `+` where code or presets differ; "" without git."""
    head = _git("rev-parse", "--short=9", "HEAD")
    differs = _git("status", "--porcelain", "flows", "tasks", "prefopt_core", "presets")
    return head + "+" * bool(differs)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def stage_versions() -> dict[str, int]:
    """Name → version of every stage there is now."""
    modules = [import_module(f"tasks.{file.stem}") for file in Path(*tasks.__path__).glob("*.py")]
    every = [value for module in modules for value in vars(module).values()]
    return {one.spec.name: one.spec.version for one in every if isinstance(one, StageTask)}


def told(table: pl.DataFrame) -> str:
    """By what the figures of a table were made, and what has changed since then.

    Args:
        table: Of `Records.table`.
    """
    made = table.group_by("machine", "commit", "stages", maintain_order=True).agg(
        pl.col("seed").unique().sort()
    )
    now, changed, parts = stage_versions(), set[str](), []
    for row in made.iter_rows(named=True):
        then = json.loads(row["stages"])
        changed |= {name for name, number in then.items() if now.get(name) != number}
        seeds = ", ".join(map(str, row["seed"]))
        parts.append(f"seeds {seeds} at commit {row['commit'] or 'unknown'} ({row['machine']})")
    text = f"Recorded: {'; '.join(parts)}."
    if changed:
        names = ", ".join(f"`{name}`" for name in sorted(changed))
        text += f" Since then {names} can give other results, where a run has them."
    return text
