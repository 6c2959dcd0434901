"""The same labels, spent in several ways: arms × seeds, every run through the store."""

import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from flows.scoreboard import Result
from prefopt_core.artifacts import Artifact
from prefopt_core.errors import PrefoptError
from prefopt_core.experiments import FLOWS
from prefopt_core.presets import Cell, Comparison
from prefopt_core.registry import import_function
from tasks.comparison import compare_runs
from tasks.comparison_report import report_comparison, write_settings
from tasks.stage import inside_flow_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compared:
    """What a comparison leaves behind: the figures of all runs, and the page."""

    table: Artifact
    report: Path


@flow(name="compare")
def compare(comparison: Comparison) -> Compared:
    """Run every arm with every seed; after each seed the page holds all that are complete."""
    cells = list(comparison.cells())
    done: list[Result] = []
    for number, cell in enumerate(cells, 1):
        started = time.monotonic()
        done.append(_run(cell, comparison))
        seconds = time.monotonic() - started
        log.info("%d of %d  %s: %.0f s", number, len(cells), cell.name, seconds)
        if number % len(comparison.arms) == 0:
            compared = _summarise(done, cells[:number], comparison)
    return compared


def run_cell(cell: Cell) -> Result:
    """Run one cell as what it is: a run of its flow, within Prefect if we are."""
    function = import_function(FLOWS[cell.flow][0])
    if not inside_flow_run():
        return function.fn(cell.config)
    return function.with_options(flow_run_name=cell.name)(cell.config)


def _run(cell: Cell, comparison: Comparison) -> Result:
    try:
        return run_cell(cell)
    except Exception as error:
        name = re.sub(r"\W+", "-", cell.name)
        path = write_settings(comparison, name, cell.settings())
        where = f"This was {cell.name}; alone it runs by `prefopt run {path}`. "
        where += "The same command goes on from here."
        if isinstance(error, PrefoptError):
            raise PrefoptError(f"{error} {where}") from error
        error.add_note(where)
        raise


def _summarise(done: list[Result], cells: list[Cell], comparison: Comparison) -> Compared:
    table = compare_runs(
        [metrics for result in done for metrics in result.metrics],
        [len(result.metrics) for result in done],
        [cell.arm for cell in cells],
        [cell.config.seed for cell in cells],
    )
    return Compared(table, report_comparison(table, comparison))
