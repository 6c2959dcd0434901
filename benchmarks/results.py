"""The tables and plots behind docs/results.md: every claim a preset, every preset a page.

What benchmarks/records/ or the store holds is not computed again: the same command with more seeds
adds theirs, and after a kill it goes on. The text above the marker in a page is by hand and stays.
"""

import argparse
from pathlib import Path

from benchmarks.recorded import Records, told
from flows.comparison import results_of, tabulated
from prefopt_core.experiments.grid import Comparison, load_comparison
from prefopt_core.experiments.page import comparison_page
from prefopt_core.reports.render import plots_to_files, render_markdown
from prefopt_core.store.store import Store

PRESETS = (
    *("aepo", "spa", "ablations", "joined", "noise", "remedies", "budgets"),
    *("neighbours", "judges", "calibration", "breakeven", "acquisition"),
)
MARKER = "<!-- Below this line: made by `python -m benchmarks.results`. -->"


def main() -> None:
    """Run what is missing and write the pages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="directory of the pages")
    parser.add_argument("--seeds", type=int, help="in place of those that a preset asks for")
    parser.add_argument("--workers", type=int, default=1, help="seeds run at once")
    parser.add_argument("--presets", nargs="*", default=PRESETS, help="names in presets/")
    parser.add_argument("--stories", metavar="PATH", help="folder of stories260K, for its preset")
    arguments = parser.parse_args()
    changes: dict[str, dict[str, str]] = {name: {} for name in arguments.presets}
    if arguments.stories:
        changes["stories"] = {"policy.params.path": arguments.stories}
    seeds = {"seeds": arguments.seeds} if arguments.seeds else {}
    for name, own in changes.items():
        write(arguments.out, name, own, arguments.workers, **seeds)


def write(out: Path, name: str, changes: dict[str, str], workers: int, **seeds: int) -> None:
    """The page of one preset: its command, its tables, its plots."""
    comparison = load_comparison(f"presets/{name}.yaml", changes, **seeds)
    records = Records.of_preset(name, changes)
    run_missing(comparison, records, workers)
    table = records.table([*comparison.cells()])
    linked = plots_to_files(comparison_page(table, comparison), out, prefix=f"results-{name}-")
    more = " policy.params.path=PATH" * bool(changes)
    command = f"```sh\nprefopt compare presets/{name}.yaml{more} --seeds {comparison.seeds}\n```"
    _, _, body = render_markdown(linked).partition("\n\n")
    page = out / f"results-{name}.md"
    by_hand = page.read_text(encoding="utf-8").partition(MARKER)[0] if page.exists() else ""
    by_hand = by_hand or f"# {comparison.title}\n\n"
    origin = told(table)
    page.write_text(f"{by_hand}{MARKER}\n\n{command}\n\n{origin}\n\n{body}", encoding="utf-8")


def run_missing(comparison: Comparison, records: Records, workers: int) -> None:
    """Run the cells that are not recorded, and record each seed as soon as it is done."""
    seeds = [records.missing(comparison.of_seed(seed)) for seed in comparison.all_seeds()]
    if workers == 1:  # record each cell then: some take hours
        seeds = [[cell] for cells in seeds for cell in cells]
    seeds = [cells for cells in seeds if cells]
    for done in results_of(comparison, seeds, workers) if seeds else ():
        for cell, result in done:
            table = Store.open().read(tabulated([(cell, result)]))
            records.add(cell, table)


if __name__ == "__main__":
    main()
