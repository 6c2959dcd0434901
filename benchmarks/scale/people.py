"""Labels by people: the desk's memory and pace, and the ledger."""

import time
from itertools import islice
from pathlib import Path
from statistics import median

import polars as pl

from benchmarks.desk import question
from benchmarks.scale.tables import Figures, Watched
from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.batch import open_batches
from prefopt_core.labels.budget import within_budget
from prefopt_core.labels.desk import Desk
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import LabelStore

_ANSWERED = 200
_PEOPLE = 100


def desk(count: int, folder: Path, watched: Watched) -> Figures:
    """Leave questions for people, open the desk, answer some as a hundred people would."""
    kept, people = LabelStore(folder), identity(AnnotationConfig(annotator="people"))

    def ask() -> None:
        with buying(kept, people, Allowance("us", count)) as purchase:
            purchase.hold(count)
            purchase.publish((question(number), 1) for number in range(count))

    figures = {f"ask {name}": value for name, value in watched(ask).items()}
    figures["ledger bytes"] = float(kept.path.stat().st_size)
    batch = open_batches(kept)[0][0]
    at = Desk(kept, batch)
    with at.kept_open():
        opened = watched(lambda: at.look("person0", 1))
        figures |= {f"open {name}": value for name, value in opened.items()}
        took = list(islice(_answers(at), _ANSWERED))
    return figures | {"answer seconds": median(took)}


def _answers(at: Desk) -> "list[float]":
    took = []
    for number in range(_ANSWERED):
        by = f"person{number % _PEOPLE}"
        started = time.perf_counter()
        ((next_one,), _) = at.look(by, 1)
        said = Verdict("given", preference=0.9, by=by, seconds=30.0)
        at.record(next_one.prompt_id, tuple(s.candidate_id for s in next_one.responses), said)
        took.append(time.perf_counter() - started)
    return took


def labels(count: int, folder: Path, watched: Watched) -> Figures:
    """Buy labels one by one, each on disk before the next; then read all, as a run does."""
    kept = LabelStore(folder)
    judge = identity(AnnotationConfig(annotator="people"))
    some = min(count, 500)

    def buy(numbers: range) -> None:
        with buying(kept, judge, Allowance("us", count)) as purchase:
            purchase.hold(len(numbers))
            for number in numbers:
                said = Verdict("given", preference=0.9, by=f"person{number % _PEOPLE}")
                purchase.commit(question(number), said)

    buy(range(count - some))
    bought = watched(lambda: buy(range(count - some, count)))
    known = watched(lambda: kept.known(judge))
    return {
        "buy seconds": bought["seconds"] / some,
        "ledger bytes": float(kept.path.stat().st_size),
        "known seconds": known["seconds"],
        "known mb": known["mb"],
    }


def budget(count: int, folder: Path, watched: Watched) -> Figures:
    """Draw which of so many prompts get labels."""
    ids = [f"{number:032x}" for number in range(count) for _ in range(2)]
    selections = pl.DataFrame({"prompt_id": ids, "candidate_id": ids, "rank": [0, 1] * count})
    return watched(lambda: within_budget(selections, count, seed=0))
