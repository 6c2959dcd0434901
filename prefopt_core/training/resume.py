"""Checkpoints of a Hugging Face `Trainer` that survive a kill at any moment.

The `Trainer` writes a checkpoint in place, so one that was being written when the process died
looks like a finished one. Here a checkpoint counts once it holds a marker, which is written after
everything else has reached the disk:

    arguments = TrainingArguments(output_dir=str(work), **RESUMABLE)
    trainer = attach(Trainer(args=arguments, ...))
    trainer.train(resume_from_checkpoint=latest_checkpoint(work))

Every process of a distributed run makes the same three calls.
"""

import re
import shutil
from pathlib import Path
from typing import Any, TypeVar

from accelerate import PartialState
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from prefopt_core.ground.files import sync
from prefopt_core.ground.progress import report_logged, report_progress

MARKER = "complete"
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
    """The newest complete checkpoint in `folder`; every other one is deleted.

    Older complete ones go too: a kill may have interrupted the deletion of one, and half a
    checkpoint with a marker must not be found later.
    """
    with PartialState().main_process_first():
        found = {
            int(p.name.rpartition("-")[2]): p
            for p in folder.glob("checkpoint-*")
            if re.fullmatch(r"checkpoint-\d+", p.name)
        }
        complete = [step for step, path in found.items() if (path / MARKER).exists()]
        latest = found.pop(max(complete)) if complete else None
        for path in found.values():
            shutil.rmtree(path)
    return str(latest) if latest else None


def _mark(checkpoint: Path) -> None:
    for path in (p for p in checkpoint.rglob("*") if p.is_file()):
        sync(path)
    (checkpoint / MARKER).touch()
    for path in (checkpoint / MARKER, checkpoint, checkpoint.parent):
        sync(path)
