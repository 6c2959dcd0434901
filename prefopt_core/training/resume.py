"""Checkpoints of a Hugging Face `Trainer` that survive a kill at any moment.

The `Trainer` writes a checkpoint in place, so one that was being written when the process died
looks like a finished one, and it loads whatever it finds there. Here a checkpoint counts once it
holds a marker, which is written after everything else has reached the disk, and as long as its
files are those whose digests the marker has:

    arguments = TrainingArguments(output_dir=str(work), **RESUMABLE)
    trainer = attach(Trainer(args=arguments, ...))
    trainer.train(resume_from_checkpoint=latest_checkpoint(work))

Every process of a distributed run makes the same three calls.
"""

import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from accelerate import PartialState
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from prefopt_core.ground.files import file_digest, sync
from prefopt_core.ground.progress import report_logged, report_progress

log = logging.getLogger(__name__)

MARKER = "complete"
"""File of a finished checkpoint: the sha256 of each of its other files, by name, as JSON."""
RESUMABLE: dict[str, Any] = {
    "save_strategy": "steps",
    # The oldest checkpoint is deleted before the newest has its marker: one more must be left.
    "save_total_limit": 2,
    "restore_callback_states_from_checkpoint": True,
    "dataloader_num_workers": 0,
    "report_to": "none",
    "disable_tqdm": True,
}
"""`TrainingArguments` that a resumed run needs to equal an uninterrupted one."""

T = TypeVar("T")


class CompleteMarker(TrainerCallback):
    """Marks a checkpoint as complete once all of it, from all processes, is on the disk."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Called by the trainer after it has written a checkpoint."""
        PartialState().wait_for_everyone()  # each process writes its own random state
        if state.is_world_process_zero and args.output_dir is not None:
            _mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")


class NoLastCheckpoint(TrainerCallback):
    """Skips a last checkpoint amid an epoch: resumed there, `Trainer` takes a step too many."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Called by the trainer after it has decided whether to save."""
        if state.global_step == state.max_steps and state.epoch != int(state.epoch or 0):
            control.should_save = False


class ReportProgress(TrainerCallback):
    """Progress callback: reports optimiser steps done and to do, and what is logged of each."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Called once; a resumed run starts with the steps that are done."""
        self.on_step_end(args, state, control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Called after every optimiser step."""
        if state.is_world_process_zero:
            report_progress(state.global_step, state.max_steps)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Called after an entry was added to the log."""
        if state.is_world_process_zero:
            report_logged(state.log_history[-1])


def attach(trainer: T) -> T:
    """Mark the trainer's checkpoints, report its progress and keep it from printing."""
    callbacks: Any = trainer
    for printing in (PrinterCallback, ProgressCallback):
        callbacks.remove_callback(printing)
    for callback in (CompleteMarker, NoLastCheckpoint, ReportProgress):
        callbacks.add_callback(callback)
    return trainer


def latest_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint in `folder`; what is newer is deleted.

    Of one that was finished and is no longer what it was, a warning tells.
    """
    latest, damaged = None, []
    with PartialState().main_process_first():
        found = {
            int(path.name.rpartition("-")[2]): path
            for path in folder.glob("checkpoint-*")
            if re.fullmatch(r"checkpoint-\d+", path.name)
        }
        for _, path in sorted(found.items(), reverse=True):
            if _is_whole(path):
                latest = path
                break
            if (path / MARKER).exists():
                damaged.append(path.name)
            _delete(path)
    if damaged:
        log.warning(
            "%s of an unfinished training was damaged and is deleted; it goes on from %s.",
            " and ".join(damaged), latest.name if latest else "its start",
        )  # fmt: skip
    return str(latest) if latest else None


def _mark(checkpoint: Path) -> None:
    for path in _files(checkpoint):
        sync(path)
    (checkpoint / MARKER).write_text(json.dumps(_digests(checkpoint)))
    for path in (checkpoint / MARKER, checkpoint, checkpoint.parent):
        sync(path)


def _is_whole(checkpoint: Path) -> bool:
    """Whether all its files, and no others, are as they were when it was finished."""
    try:
        return bool(json.loads((checkpoint / MARKER).read_bytes()) == _digests(checkpoint))
    except (OSError, ValueError):  # not readable; no JSON
        return False


def _digests(checkpoint: Path) -> dict[str, str]:
    names = {path.relative_to(checkpoint).as_posix(): path for path in _files(checkpoint)}
    return {name: file_digest(path)[0] for name, path in sorted(names.items()) if name != MARKER}


def _files(checkpoint: Path) -> Iterator[Path]:
    return (path for path in checkpoint.rglob("*") if not path.is_dir())


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
