"""What faults leave of a run: `python -m benchmarks.faults --faults 200`.

The loop of two small rounds is run undisturbed; then, for each fault, from a moment of that run or
from nothing, disturbed once and run again. Afterwards its results have to be the same bytes,
nothing bought twice, made again or left behind, and what was printed a few lines. Each fault is
made from a seed and can be had again: `--fault kill:3`. The exit status is 1 if one failed.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.campaign import Outcome, page, tried
from benchmarks.faults.kinds import KINDS, drawn
from benchmarks.faults.loop import undisturbed
from benchmarks.faults.planted import DEFECTS
from benchmarks.faults.trial import HERE
from benchmarks.printing import cores, ending, load, progress, say

PAGE = HERE / "docs" / "faults.md"
MARKER = "<!-- Below this line: made by `python -m benchmarks.faults --write`. -->"

_STORE = re.compile(r"/\S*/trials/")
"""Where it lay says nothing to others."""


def main() -> int:
    """Try faults and print a table; returns the exit status."""
    told = _told()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=told.folder)).resolve()
    try:
        outcomes = _tried(folder, told)
    finally:
        if not told.keep:
            shutil.rmtree(folder, ignore_errors=True)
    failed = [one for one in outcomes if one.problems]
    say(page(outcomes))
    say("\n".join(["", *map(str, failed)]) if failed else "")
    say(f"{cores()}, {load()}; {ending(time.monotonic() - began).strip()}")
    if told.write:
        _write(outcomes, failed, told)
    return int(bool(failed))


def _tried(folder: Path, told: argparse.Namespace) -> list[Outcome]:
    faults = told.fault or drawn(told.faults, told.seed, told.only or list(KINDS))
    outcomes = [one for one in _kept(told.journal) if (one.kind, one.seed) in faults]
    done = {(one.kind, one.seed) for one in outcomes}
    loop = undisturbed(folder)
    progress(f"undisturbed: {loop.seconds:.0f} s, {len(loop.copies)} moments; in {folder}")
    with ThreadPoolExecutor(told.at_once) as pool:
        left = [each for each in faults if each not in done]
        waiting = [
            pool.submit(tried, loop, kind, number, told.plant, told.keep) for kind, number in left
        ]
        try:
            for ended in as_completed(waiting):
                outcomes.append(ended.result())
                _note(told.journal, outcomes[-1])
        except KeyboardInterrupt:  # what was tried is worth its table
            pool.shutdown(cancel_futures=True)
    return outcomes


def _note(journal: Path | None, outcome: Outcome) -> None:
    progress(str(outcome))
    if journal:
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")


def _kept(journal: Path | None) -> Iterator[Outcome]:
    """What an earlier campaign has tried, but for what failed: that is tried again."""
    if journal and journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            outcome = Outcome(**json.loads(line))
            if not outcome.problems and not outcome.skipped:
                yield outcome


def _told() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=KINDS, help="may be repeated")
    parser.add_argument("--fault", action="append", type=_fault, metavar="KIND:SEED")
    parser.add_argument("--at-once", type=int, default=1, help="faults tried side by side")
    parser.add_argument("--folder", help="where the stores lie; a disk, not memory")
    parser.add_argument("--journal", type=Path, help="to go on from: what is in it is done")
    parser.add_argument("--keep", action="store_true", help="leave the stores of what failed")
    parser.add_argument("--plant", choices=DEFECTS, default="", help="a defect, to be found")
    parser.add_argument("--write", action="store_true", help=f"the table into {PAGE.name}")
    return parser.parse_args()


def _fault(text: str) -> tuple[str, int]:
    kind, _, seed = text.partition(":")
    if kind not in KINDS:
        raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(KINDS)}")
    return kind, int(seed or 0)


def _write(outcomes: list[Outcome], failed: list[Outcome], told: argparse.Namespace) -> None:
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARKER)[0]
    command = f"python -m benchmarks.faults --faults {told.faults} --seed {told.seed}"
    begin = f"{len(outcomes)} faults of `{command}`, {time.strftime('%Y-%m-%d')}, {cores()}:"
    lines = [begin, "", page(outcomes)]
    if failed:
        lines += ["", *(f"* {re.sub(_STORE, '', str(one))}" for one in failed)]
    PAGE.write_text(f"{by_hand}{MARKER}\n\n{chr(10).join(lines)}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
