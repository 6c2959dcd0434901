"""Both sides of a step of training: our trainer and TRL's, on the same pairs."""

import gc
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
)
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from benchmarks.timing import CPU, WALL
from benchmarks.training.lengths import Lengths
from prefopt_core.training.objectives import dpo
from prefopt_core.training.preference_trainer import PreferenceTrainer

BETA = 0.1
WARM = 2
"""Steps that are not timed."""
SHAPES: dict[str, dict[str, Any]] = {
    "SmolLM2, 135 M": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
    "Llama 3.2, 1.2 B": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "small, 26 M": {
        "vocab_size": 49152,
        "hidden_size": 384,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
    },
}


@dataclass(frozen=True)
class Case:
    """What is trained: a shape, pairs of these lengths, so many of them a step."""

    shape: str
    pairs: str
    lengths: Lengths = field(repr=False)
    batch: int
    checkpointing: bool = False

    @property
    def name(self) -> str:
        """For a heading."""
        recomputed = ", activations recomputed" if self.checkpointing else ""
        return f"{self.shape}: {self.batch} pairs of {self.pairs}{recomputed}"


@dataclass
class Course(TrainerCallback):
    """One training: seconds, tokens read and loss of every step; the most memory they took."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    gigabytes: float = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The set-up is over."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """The batch is there."""
        self._started = _now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """The optimiser is done."""
        self.seconds.append(_now() - self._started)
        if torch.cuda.is_available():
            self.gigabytes = torch.cuda.max_memory_allocated() / 1e9

    def on_log(self, _args: Any, _state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        """A step's loss."""
        if "loss" in logs:
            self.losses.append(logs["loss"])

    @property
    def step(self) -> float:
        """Seconds: the median."""
        return float(np.median(self.seconds[WARM:]))


class Given(DPOTrainer):
    """TRL's trainer on token ids: how it makes them is not compared."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _send_telemetry(self) -> None:
        """Not measured."""


class Apart(PreferenceTrainer):
    """Ours, with a row for each sequence, as for models that read no packed rows."""

    _width = None


def train(trainer: Any) -> Course:
    """Train; what does not fit into memory has no steps."""
    course = Course()
    collate = trainer.data_collator

    def counted(examples: Any) -> Any:
        batch = collate(examples)
        course.tokens.append(batch["input_ids"].numel())
        return batch

    trainer.data_collator = counted
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(course)
    with suppress(torch.OutOfMemoryError):
        trainer.train()
    trainer.accelerator.free_memory()
    del trainer.model, trainer.model_wrapped, trainer.optimizer
    gc.collect()
    torch.cuda.empty_cache()
    return course


def pairs_of(case: Case, count: int) -> dict[str, list[Any]]:
    """So many pairs of random tokens, of the lengths of a case."""
    rng, vocabulary = np.random.default_rng(0), SHAPES[case.shape]["vocab_size"]
    lengths = [case.lengths[i % len(case.lengths)] for i in range(count)]
    rows: dict[str, list[Any]] = {
        name: [rng.integers(3, vocabulary, size=three[i]).tolist() for three in lengths]
        for i, name in enumerate(("prompt_ids", "chosen_ids", "rejected_ids"))
    }
    marks = {"doubtful": [False] * count, "confidence": [1.0] * count, "row": list(range(count))}
    return rows | marks


def our_trainer(kind: type[PreferenceTrainer], case: Case, rows: dict[str, Any], work: Path) -> Any:
    """Our trainer, or one made of it."""
    data = Dataset.from_dict(rows)
    return kind(dpo(BETA), BETA, 0.0, work, data, **_common(case, work, len(data)))


def their_trainer(case: Case, rows: dict[str, Any], work: Path) -> Any:
    """TRL's trainer; it has the reference log-probabilities once this returns."""
    ids = {name: values for name, values in rows.items() if name.endswith("_ids")}
    common = _common(case, work, len(rows["row"]))
    pad = common["processing_class"].pad_token_id
    data, collator = Dataset.from_dict(ids), DataCollatorForPreference(pad)
    return Given(train_dataset=data, data_collator=collator, **common)


def _common(case: Case, work: Path, pairs: int) -> dict[str, Any]:
    gpu = torch.cuda.is_available()
    torch.manual_seed(0)
    with torch.device("cuda" if gpu else "cpu"):
        config = LlamaConfig(**SHAPES[case.shape], tie_word_embeddings=True, pad_token_id=2)
        model = LlamaForCausalLM(config)
    settings = DPOConfig(
        output_dir=str(work),
        max_steps=pairs // case.batch,
        per_device_train_batch_size=case.batch,
        learning_rate=1e-5,
        warmup_steps=0,
        beta=BETA,
        bf16=gpu,
        gradient_checkpointing=case.checkpointing,
        precompute_ref_log_probs=True,
        max_length=None,
        remove_unused_columns=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
    )
    return {"model": model, "args": settings, "processing_class": _tokenizer()}


def _tokenizer() -> PreTrainedTokenizerFast:
    words = {"<unk>": 0, "<eos>": 1, "<pad>": 2}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>", pad_token="<pad>"
    )


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return WALL()
    return CPU()
