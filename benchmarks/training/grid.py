"""A grid of runs through one store against its cells one by one: what sharing stages is worth."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.comparisons import Row, faster, figure
from benchmarks.timing import WALL, Time, children_cpu
from prefopt_core.experiments.grid import Cell, load_comparison
from prefopt_core.store.store import Store

PRESET = Path(__file__).parents[2] / "presets" / "tiny.yaml"
ARMS: dict[str, dict[str, object]] = {
    "random": {"selection.strategy": "random"},
    "aepo": {"selection.strategy": "aepo"},
    "k_medoids": {"selection.strategy": "k_medoids"},
    "coreset": {"selection.strategy": "coreset"},
    "random, dpo": {"selection.strategy": "random", "training.loss": "dpo"},
    "aepo, dpo": {"selection.strategy": "aepo", "training.loss": "dpo"},
}

COMMAND = (sys.executable, "-m", "flows.cli")


@dataclass(frozen=True)
class Spent:
    """CPU and wall seconds of some processes, and how many stages (their shards) they computed."""

    cpu: float
    wall: float
    computed: int


def section(folder: Path, quick: bool) -> list[Row]:
    """Every way once; each is minutes of separate processes."""
    seeds, names = (1, ["random", "aepo", "random, dpo"]) if quick else (2, list(ARMS))
    preset = yaml.safe_load(PRESET.read_text())
    preset |= {"arms": {name: ARMS[name] for name in names}, "seeds": seeds}
    folder.mkdir()
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(preset, allow_unicode=True))
    cells = list(load_comparison(str(path), {}).cells())
    ways: dict[str, Callable[[], Spent]] = {
        "compare": lambda: _spend(folder / "together", [["compare", str(path)]]),
        "compare, a seed a worker": lambda: _spend(
            folder / "workers", [["compare", str(path), "--workers", str(seeds)]]
        ),
        "runs, one store": lambda: _spend(folder / "one", _commands(folder, cells)),
        "runs, a store each": lambda: _each(folder, cells),
    }
    spent = {name: way() for name, way in ways.items()}
    return _rows(spent, f"{len(names)} arms × {seeds} seeds")


def _rows(spent: dict[str, Spent], size: str) -> list[Row]:
    ours, workers, shared, alone = spent.values()
    total = alone.computed
    pairs = [
        ("`prefopt compare`", "`prefopt run` per cell, an empty store each", ours, alone),
        ("`prefopt compare`, a worker per seed", "one process", workers, ours),
        ("`prefopt compare`: one process", "`prefopt run` per cell, one store", ours, shared),
        ("`prefopt run` per cell, one store", "an empty store each", shared, alone),
    ]  # fmt: skip
    rows = []
    for what, against, one, other in pairs:
        for unit in ("cpu", "wall"):
            times = Time(getattr(one, unit), 1), Time(getattr(other, unit), 1)
            rows.append(faster(f"{size}, {what}: {unit}", against, *times))
    for what, way in (("one store", ours), ("an empty store each", alone)):
        found = f"{way.computed:,} computed, {total - way.computed:,} found"
        rows.append(figure(f"{size}, {what}: stages and shards", found))
    return rows


def _commands(folder: Path, cells: Iterable[Cell]) -> list[list[str]]:
    commands = []
    for number, cell in enumerate(cells):
        path = folder / f"cell-{number}.yaml"
        path.write_text(cell.settings())
        commands.append(["run", str(path)])
    return commands


def _each(folder: Path, cells: Iterable[Cell]) -> Spent:
    commands = _commands(folder, cells)
    spent = [_spend(folder / f"alone-{n}", [command]) for n, command in enumerate(commands)]
    return Spent(*(sum(getattr(s, name) for s in spent) for name in ("cpu", "wall", "computed")))


def _spend(store: Path, commands: Iterable[list[str]]) -> Spent:
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    environment = os.environ | one_thread | {"PREFOPT_STORE": str(store)}
    before, started = children_cpu(), WALL()
    for command in commands:
        subprocess.run(
            [*COMMAND, *command, "--no-server", "--quiet"],
            env=environment, check=True, capture_output=True,
        )  # fmt: skip
    cpu, wall = children_cpu() - before, WALL() - started
    # The table of a comparison is a stage, too, which no cell has.
    computed = sum(made.stage != "compare" for made in Store(store).manifests())
    return Spent(cpu, wall, computed)
