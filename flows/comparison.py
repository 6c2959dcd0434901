"""The flow `compare`: run every arm with every seed, then compare their metrics."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from flows.lazy import prefect_flow
from flows.lookup import flow_of
from flows.scoreboard import Result
from prefopt_core.experiments.base import Paid
from prefopt_core.experiments.grid import Cell, Comparison
from prefopt_core.ground.cores import usable_cores
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.processes import end_with
from prefopt_core.labels.batch import name_account
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.artifacts import Artifact
from tasks.comparison import compare_runs, report_comparison, write_settings
from tasks.session import current_store, executing, part_of_more, planning, stored_only
from tasks.stage import inside_flow_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compared:
    """The result of a comparison: the table `comparison` and the path of the report page."""

    table: Artifact
    report: Path


def _compare(comparison: Comparison, workers: int = 1) -> Compared:
    """Run every arm with every seed; the report page is rewritten after each seed.

    With several `workers` seeds run in parallel, each in a process of its own.
    """
    seeds = [comparison.of_seed(seed) for seed in comparison.all_seeds()]
    done: list[tuple[Cell, Result]] = []
    for number, seed in enumerate(results_of(comparison, seeds, workers), 1):
        done += seed
        if number == len(seeds) or not stored_only():  # which leaves no page of some seeds
            table = tabulated(done)
            compared = Compared(table, report_comparison(table, comparison))
        log.info("%d of %d seeds are compared", number, len(seeds))
    return compared


compare = prefect_flow(_compare, "compare")


def results_of(
    comparison: Comparison, groups: Sequence[list[Cell]], workers: int
) -> Iterator[list[tuple[Cell, Result]]]:
    """Run cells of a comparison, group by group; each group comes with its results once it ran.

    Args:
        comparison: The preset.
        groups: Its cells, those of one process together.
        workers: Processes; with one, groups run in this one.
    """
    with _runner(comparison, workers) as run:
        for cells, results in zip(groups, run(groups), strict=True):
            yield [*zip(cells, results, strict=True)]


Runner = Callable[[Iterable[list[Cell]]], Iterator[list[Result]]]
"""The cells of each seed → their results, in the same order."""


@contextmanager
def _runner(comparison: Comparison, workers: int) -> Iterator[Runner]:
    run = partial(_run_seed, comparison)
    if workers == 1 or planning():
        with executing(comparison.of_seed(comparison.all_seeds()[0])[0].config.execution):
            yield partial(map, run)
        return
    # Seeds share only the loaded prompts, so processes seldom wait for each other's locks.
    threads = str(max(1, usable_cores() // workers))
    begin = (os.getpid(), threads, str(current_store()))
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, begin) as pool:
        yield partial(pool.map, partial(run, in_prefect=inside_flow_run()))


def _begin(parent: int, threads: str, store: str) -> None:
    """Prepare a spawned process; the session of its parent does not reach it."""
    end_with(parent)
    os.environ |= {"OMP_NUM_THREADS": threads, "PREFOPT_STORE": store}


def _run_seed(
    comparison: Comparison, cells: list[Cell], *, in_prefect: bool | None = None
) -> list[Result]:
    done = []
    for cell in cells:
        started = time.monotonic()
        with part_of_more():
            done.append(_run(cell, comparison, in_prefect))
        log.info("%s: %.0f s", cell.name, time.monotonic() - started)
    return done


def run_cell(cell: Cell, in_prefect: bool | None = None) -> Result:
    """Run the flow of one cell.

    Args:
        cell: Flow and config.
        in_prefect: Whether as a Prefect flow run; None: if this is inside one.
    """
    function = flow_of(cell.flow)
    if not (inside_flow_run() if in_prefect is None else in_prefect):
        return function.fn(cell.config)
    return function.with_options(flow_run_name=cell.name)(cell.config)


def _run(cell: Cell, comparison: Comparison, in_prefect: bool | None) -> Result:
    if isinstance(cell.config, Paid) and not (planning() or stored_only()):
        # Its budget is of its settings; `prefopt labels ls` says of which arm and seed.
        kept = LabelStore.of(current_store())
        name_account(kept, cell.config.allowance.account, cell.name)
    try:
        return run_cell(cell, in_prefect)
    except Exception as error:
        name = re.sub(r"\W+", "-", cell.name)
        path = write_settings(comparison, name, cell.settings())
        where = f"This was {cell.name}; alone it runs by `prefopt run {path}`. "
        where += "The same command goes on from here."
        if isinstance(error, PrefoptError):
            raise PrefoptError(f"{error} {where}") from error
        error.add_note(where)
        raise


def tabulated(done: Sequence[tuple[Cell, Result]]) -> Artifact:
    """The table `comparison` of cells and their results."""
    return compare_runs(
        [metrics for _, result in done for metrics in result.metrics],
        [len(result.metrics) for _, result in done],
        [cell.arm for cell, _ in done],
        [cell.config.seed for cell, _ in done],
        [result.kept for _, result in done],
    )
