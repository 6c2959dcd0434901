"""A step of training on real lengths against TRL's, by shape of the model; on a GPU in bfloat16.

    python -m benchmarks.training.rows [--quick] [--limit SECONDS] [--out FILE] [--json FILE]

Both get the same token ids in the same order, the same first weights, optimiser and precision, and
TRL its reference log-probabilities once, before training, as its documentation recommends. Weights
are random: they change no time. Without a GPU the model is smaller and pairs are shorter.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np
import torch
from trl.trainer import dpo_trainer

from benchmarks.printing import cores, ending, load, say, section, table
from benchmarks.timing import WALL
from benchmarks.training.lengths import ALPACA, OASST, SHORT, Lengths
from benchmarks.training.sides import (
    Apart,
    Case,
    Course,
    our_trainer,
    pairs_of,
    their_trainer,
    train,
)
from prefopt_core.training.packing import OF_PAIRS, collate
from prefopt_core.training.preference_trainer import PreferenceTrainer


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.rows", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the smallest case")
    parser.add_argument("--out", type=Path, help="append the tables to this file, too")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--limit", type=float, default=float("inf"), help="start none after so long"
    )
    arguments = parser.parse_args()
    started, found = WALL(), {}
    dpo_trainer.hash_module = lambda _: uuid4().hex  # of all weights; no part of a step
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    say(f"{_surroundings()}; {load()}.", arguments.out)
    section("Tokens of a step", _tokens(), arguments.out)
    for case in _cases(quick=arguments.quick):
        if WALL() - started > arguments.limit:
            say(f"\nNot measured: {case.name}.", arguments.out)
            continue
        courses = compare(case, 12 if torch.cuda.is_available() else 5)
        found[case.name] = {way: asdict(course) for way, course in courses.items()}
        section(case.name, _table(courses), arguments.out)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1))
    say(ending(WALL() - started), arguments.out)


def _surroundings() -> str:
    if not torch.cuda.is_available():
        return f"{cores()}, no GPU: CPU seconds of a thread, float32, torch {torch.__version__}"
    return f"{torch.cuda.get_device_name()}, bfloat16, torch {torch.__version__}"


def _cases(*, quick: bool) -> list[Case]:
    small, middle = (
        Case("small, 26 M", "SHORT", SHORT, 4),
        Case("SmolLM2, 135 M", "SHORT", SHORT, 4),
    )
    if quick or not torch.cuda.is_available():
        return [small] if quick else [small, middle]
    smollm2, llama = "SmolLM2, 135 M", "Llama 3.2, 1.2 B"
    return [
        Case(smollm2, "ALPACA", ALPACA, 4),
        Case(llama, "ALPACA", ALPACA, 4),
        Case(smollm2, "ALPACA", ALPACA, 16),
        Case(llama, "ALPACA", ALPACA, 16, checkpointing=True),
        Case(smollm2, "OASST", OASST, 4),
        Case(llama, "OASST", OASST, 4),
    ]


def _tokens() -> str:
    """What rows of their own and packed rows come to, by lengths and batch; no model is asked."""
    lines = []
    for name, lengths in (("ALPACA", ALPACA), ("OASST", OASST), ("SHORT", SHORT)):
        for batch in (4, 16):
            parts = [lengths[i : i + batch] for i in range(0, len(lengths), batch)]
            apart, *packed = (sum(_read(p, width) for p in parts) for width in (None, 576, 2048))
            responses = sum(chosen + rejected for _, chosen, rejected in lengths)
            shares = [f"{figure / apart:.2f}" for figure in (responses, *packed)]
            lines.append([name, str(batch), f"{apart / len(parts):,.0f}", *shares])
    header = ["lengths", "pairs", "TRL reads", "of it responses", "packed, H = 576", "H = 2048"]
    return table(header, lines)


def _read(lengths: Lengths, width: float | None) -> int:
    pairs = [
        {"prompt_ids": [0] * p, "chosen_ids": [0] * c, "rejected_ids": [0] * r}
        | dict.fromkeys(OF_PAIRS, 0)
        for p, c, r in lengths
    ]
    # TRL reads the last token of each response, from which nothing is predicted.
    batch = collate(pairs, pad_token_id=0, width=width)["input_ids"]
    return batch.numel() + (0 if width else len(batch))


def compare(case: Case, steps: int) -> dict[str, Course]:
    """All ways, one after the other: what each took."""
    rows = pairs_of(case, steps * case.batch)
    with TemporaryDirectory() as folder:
        theirs = their_trainer(case, rows, Path(folder))
        given = theirs.train_dataset.select_columns(["ref_chosen_logps", "ref_rejected_logps"])
        rows = rows | {name: given[name] for name in given.column_names}
        courses = {"TRL": train(theirs)}
        del theirs
        for name, kind in (("ours, rows apart", Apart), ("ours", PreferenceTrainer)):
            courses[name] = train(our_trainer(kind, case, rows, Path(folder)))
    return courses


def _table(courses: dict[str, Course]) -> str:
    trl = courses["TRL"]
    header = ["", "step", "TRL's / its", "tokens", "memory", "last loss", "off TRL's at most"]
    return table(header, [[name, *_cells(course, trl)] for name, course in courses.items()])


def _cells(course: Course, trl: Course) -> Sequence[str]:
    if not course.losses:
        return ["out of memory", *["–"] * 5]
    both = min(len(course.losses), len(trl.losses))
    off = np.abs(np.subtract(course.losses[:both], trl.losses[:both])).max(initial=0)
    return [
        f"{1000 * course.step:.4g} ms",
        f"{trl.step / course.step:.2f}",
        f"{np.mean(course.tokens):,.0f}",
        f"{course.gigabytes:.1f} GB" if course.gigabytes else "–",
        f"{course.losses[-1]:.5f}",
        f"{off:.1e}",
    ]


if __name__ == "__main__":
    main()
