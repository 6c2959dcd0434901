"""What has to hold once the loop has been run again after a fault; each check names what does not.

identical: every result is the undisturbed run's, and whole. bought: each label once, within the
budget. lost: nothing that was finished is made again. ended: nothing runs on. left: no lock and no
half-written file. said: what a user saw are a few lines, and no traceback.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults.loop import Loop
from benchmarks.faults.trial import Trial
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.files import TEMPORARY
from prefopt_core.store import maintenance
from prefopt_core.store.store import Store

_LINES = 6
"""Lines of errors that somebody still reads."""
_LONGEST = 700
"""Characters of one."""
_CODES = {0: "", 2: "refused", 75: "waits", 130: "interrupted", -9: "killed", -15: "ended"}
_FOREIGN = ("Traceback (most recent", "Exception ignored", "Fatal Python error", "terminate called")
_RESULTS = ("state", "metrics", "preferences", "policy", "kept", "win_rate", "labels")


def problems(trial: Trial, loop: Loop) -> list[str]:
    """Everything that does not hold."""
    return [problem for check in CHECKS for problem in check(trial, loop)]


def identical(trial: Trial, loop: Loop) -> Iterator[str]:
    """Results, record and bytes are those of the undisturbed run."""
    ours, theirs = _outputs(trial.store), _outputs(loop.trial.store)
    differ = [name for name, output in theirs.items() if ours.get(name, output) != output]
    missing = [name for name in theirs if name not in ours]
    if differ or missing:
        yield f"results differ: {differ[:3]}, missing: {missing[:3]}"
    if not trial.other_runs and (more := [name for name in ours if name not in theirs]):
        yield f"results that the undisturbed run has not: {more[:3]}"
    if (now := _record(trial)) != (then := _record(loop.trial)):
        yield f"the record differs: {[k for k in then if now.get(k) != then[k]]}"
    try:
        broken = [
            f"{e.stage}: {what}" for e, what in maintenance.verify(Store(trial.store)) if what
        ]
    except (PrefoptError, OSError) as error:
        broken = [str(error)]
    if broken:
        yield f"not whole: {broken[0]} ({len(broken)})"


def bought(trial: Trial, loop: Loop) -> Iterator[str]:
    """Each answer was bought once, but for the one that a kill lost; no budget was exceeded."""
    times = Counter(trial.answers())
    again = Counter({call: n - 1 for call, n in times.items() if n > 1})
    again -= Counter(trial.rebought)
    if again.total() > trial.killed:
        yield f"{again.total()} labels were bought twice, and {trial.killed} processes killed"
    if len(times) > trial.budget:
        yield f"{len(times)} labels were bought, and the budget is {trial.budget}"
    labels, account, holds = trial.ledger()
    if labels != len(times):
        yield f"{len(times)} labels were bought, and the ledger has {labels}"
    if account > trial.budget:
        yield f"the account has {account} labels of {trial.budget}"
    if holds:
        yield f"{holds} labels are still held"


def lost(trial: Trial, loop: Loop) -> Iterator[str]:
    """What was finished, and not damaged, was not made again."""
    again = [
        path.parent.name
        for path, written in trial.standing.items()
        if not path.exists() or path.stat().st_mtime_ns != written
    ]
    if again:
        yield f"made again though it was finished: {', '.join(sorted(again)[:3])} ({len(again)})"


def ended(trial: Trial, loop: Loop) -> Iterator[str]:
    """No process runs on."""
    deadline = time.monotonic() + 15  # children of a killed process look every few seconds
    while (running := trial.processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    if running:
        names = [Path(f"/proc/{pid}/cmdline").read_bytes()[-80:] for pid in running]
        yield f"{len(running)} processes still run, such as {names[0].decode(errors='replace')}"


def left(trial: Trial, loop: Loop) -> Iterator[str]:
    """`prefopt cache gc` leaves nothing but results."""
    store = Store(trial.store)
    try:
        maintenance.collect_garbage(store)
    except (PrefoptError, OSError) as error:
        yield f"garbage cannot be collected: {error!r}"
    there = [*store.root.glob("work/*"), *store.root.glob("quarantine/*")]
    there += store.root.rglob(f"{TEMPORARY}*")
    there += (path for path in store.root.glob("locks/*") if _passes(path.name))
    named = {path for manifest in store.manifests() for path, _ in store.objects(manifest.output)}
    there += named ^ {*store.root.glob("objects/*/*")}
    if there:
        yield f"{len(there)} left behind or gone, such as {there[0].relative_to(store.root)}"


def _passes(lock: str) -> bool:
    return lock.partition("-")[0] not in ("store", "labels", "run")


def said(trial: Trial, loop: Loop) -> Iterator[str]:
    """Every command ended in a known way, with at most a few lines and no traceback."""
    usual = {line for one in loop.trial.said for line in one.err.splitlines()}
    for one in trial.said:
        what = " ".join(Path(word).name for word in one.words)
        if one.code not in _CODES:
            yield f"`{what}` ended with {one.code}: {_last(one.err or one.out)}"
        text = one.out + one.err
        for foreign in _FOREIGN:
            if foreign in text:
                yield f"`{what}` printed a {foreign.partition(' (')[0]}: {_last(one.err)}"
                break
        lines = [line for line in one.err.splitlines() if line and line not in usual]
        if len(lines) > _LINES:
            yield f"`{what}` printed {len(lines)} lines of errors"
        if long := [line for line in lines if len(line) > _LONGEST]:
            yield f"`{what}` printed a line of {len(long[0])} characters"


CHECKS: tuple[Callable[[Trial, Loop], Iterator[str]], ...] = (
    said, bought, lost, ended, left, identical,
)  # fmt: skip
"""`left` collects garbage, so that `identical` sees what remains."""


def _last(text: str) -> str:
    return text.strip().rpartition("\n")[2][:160]


def _outputs(store: Path) -> dict[str, Any]:
    """stage/key → what the manifest names."""
    return {
        f"{path.parent.name}/{path.stem[:12]}": json.loads(path.read_bytes())["output"]
        for path in (store / "manifests").glob("*/*.json")
        if path.is_file()
    }


def _record(trial: Trial) -> dict[str, Any]:
    try:
        record = json.loads((trial.store / "runs" / "loop" / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: record.get(name) for name in _RESULTS}
