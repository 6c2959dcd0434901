"""A training with given reference log-probabilities against TRL's own ways, loss by loss."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from datasets import Dataset
from transformers import AutoModelForCausalLM, TrainerCallback
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from benchmarks.comparisons import Row, costs, faster, figure
from benchmarks.timing import CPU, in_turn, median
from benchmarks.training.pairs import World, pairs_of
from prefopt_core.models.threads import threads_for
from prefopt_core.models.tokens import load_tokenizer
from prefopt_core.training import trl_dpo
from prefopt_core.training.resume import attach
from prefopt_core.training.settings import TrainingConfig

SAME = 1e-5
"""Losses of TRL and ours may differ by so much, in nats."""


@dataclass
class Course(TrainerCallback):
    """One training: CPU seconds and loss of every step, and CPU seconds of the whole."""

    steps: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    whole: float = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """The batch is there."""
        self._started = CPU()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """The optimiser is done."""
        self.steps.append(CPU() - self._started)


class Untokenised(DPOTrainer):
    """TRL's trainer on token ids: how it makes them is not compared."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _send_telemetry(self) -> None:
        """Not measured."""


def compare(world: World, steps: int, batch: int, rounds: int) -> list[Row]:
    """All trainings in turn, so many rounds."""
    pairs = pairs_of(world, steps * batch)
    settings = {"learning_rate": 1e-4, "batch_size": batch, "micro_batch_size": batch}
    dpo = TrainingConfig(**settings)
    noisy = {
        weight: TrainingConfig(
            **settings, loss="noise_aware", params={"extrapolation": weight, "warm_up": 0.0}
        )
        for weight in (0.0, 0.5)
    }
    ways: dict[str, Callable[[Path], Any]] = {
        "ours": partial(_ours, world, dpo, steps),
        "TRL": partial(_trl, world, pairs, dpo, False),
        "TRL, precomputed": partial(_trl, world, pairs, dpo, True),
        "λ = 0": partial(_ours, world, noisy[0.0], steps),
        "λ = 0.5": partial(_ours, world, noisy[0.5], steps),
    }
    return _rows(in_turn({name: partial(_run, way) for name, way in ways.items()}, rounds))


def _rows(courses: dict[str, list[Course]]) -> list[Row]:
    step = {way: median([s for c in found for s in c.steps[1:]]) for way, found in courses.items()}
    whole = {way: median([c.whole for c in found]) for way, found in courses.items()}
    length, given = len(courses["ours"][0].steps), "step, reference given"
    everything, noise = f"scoring, set-up, {length} steps", "step, noise detection"
    rows = [
        faster(given, "TRL, reference in every step", step["ours"], step["TRL"]),
        faster(given, "TRL, precomputed", step["ours"], step["TRL, precomputed"]),
        faster(everything, "TRL", whole["ours"], whole["TRL"]),
        faster(everything, "TRL, precomputed", whole["ours"], whole["TRL, precomputed"]),
        costs(f"{noise} λ = 0", "dpo", step["λ = 0"], step["ours"]),
        costs(f"{noise} λ = 0.5", "dpo", step["λ = 0.5"], step["ours"]),
    ]
    ours = np.array(courses["ours"][0].losses)
    for way in ("TRL", "TRL, precomputed"):
        gap = float(np.abs(ours - courses[way][0].losses).max())
        shown = f"{ours[0]:.6f} … {ours[-1]:.6f}"
        rows.append(
            figure(
                f"losses of {length} steps, largest difference {gap:.1e}", shown, way,
                f"{courses[way][0].losses[0]:.6f} … {courses[way][0].losses[-1]:.6f}",
                f"≤ {SAME:g}", gap <= SAME,
            )
        )  # fmt: skip
    return rows


def _run(way: Callable[[Path], Any]) -> Course:
    course = Course()
    with TemporaryDirectory() as folder:
        started = CPU()
        trainer = way(Path(folder))
        trainer.add_callback(course)
        compute = trainer.compute_loss

        def watched(*args: Any, **kwargs: Any) -> Any:
            loss = compute(*args, **kwargs)
            course.losses.append(loss.item())
            return loss

        trainer.compute_loss = watched
        with threads_for(trainer.model):
            trainer.train()
        course.whole = CPU() - started
    return course


def _ours(world: World, config: TrainingConfig, steps: int, work: Path) -> Any:
    pairs = pairs_of(world, steps * config.batch_size)  # scored each time: part of the whole
    return attach(trl_dpo._trainer(_model(world), pairs, world.folder, work, config, 0))


def _trl(world: World, pairs: pl.DataFrame, config: TrainingConfig, once: bool, work: Path) -> Any:
    tokenizer = load_tokenizer(world.folder)
    names = {name: name.replace("_token_ids", "_ids") for name in trl_dpo.IDS}
    rows = pairs.select(pl.col(name).alias(new) for name, new in names.items())
    own = trl_dpo._arguments(work, config, 0, len(pairs))
    given = replace(own, precompute_ref_log_probs=once, disable_dropout=True, beta=config.beta)
    return attach(
        Untokenised(
            model=_model(world),
            args=given,
            train_dataset=Dataset.from_dict(rows.to_dict(as_series=False)),
            processing_class=tokenizer,
            data_collator=DataCollatorForPreference(tokenizer.pad_token_id),
        )
    )


def _model(world: World) -> Any:
    return AutoModelForCausalLM.from_pretrained(world.folder, dtype="auto")
