"""A step of training on real lengths against TRL's, by shape of the model; on a GPU in bfloat16.

    python -m benchmarks.training.rows [--quick] [--limit SECONDS] [--out FILE] [--json FILE]

Both get the same token ids in the same order, the same first weights, optimiser and precision, and
TRL its reference log-probabilities once, before training, as its documentation recommends. Weights
are random: they change no time. Without a GPU the model is smaller and pairs are shorter.
"""

import argparse
import gc
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

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
from trl.trainer import dpo_trainer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from benchmarks.printing import cores, ending, load, say, section, table
from benchmarks.timing import CPU, WALL
from benchmarks.training.lengths import ALPACA, OASST, SHORT, Lengths
from prefopt_core.training.objectives import dpo
from prefopt_core.training.packing import OF_PAIRS, collate
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
    rows = _pairs(case, steps * case.batch)
    with TemporaryDirectory() as folder:
        theirs = _theirs(case, rows, Path(folder))
        given = theirs.train_dataset.select_columns(["ref_chosen_logps", "ref_rejected_logps"])
        rows = rows | {name: given[name] for name in given.column_names}
        courses = {"TRL": _train(theirs)}
        del theirs
        for name, kind in (("ours, rows apart", Apart), ("ours", PreferenceTrainer)):
            courses[name] = _train(_ours(kind, case, rows, Path(folder)))
    return courses


def _train(trainer: Any) -> Course:
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


def _pairs(case: Case, count: int) -> dict[str, list[Any]]:
    rng, vocabulary = np.random.default_rng(0), SHAPES[case.shape]["vocab_size"]
    lengths = [case.lengths[i % len(case.lengths)] for i in range(count)]
    rows: dict[str, list[Any]] = {
        name: [rng.integers(3, vocabulary, size=three[i]).tolist() for three in lengths]
        for i, name in enumerate(("prompt_ids", "chosen_ids", "rejected_ids"))
    }
    marks = {"doubtful": [False] * count, "confidence": [1.0] * count, "row": list(range(count))}
    return rows | marks


def _ours(kind: type[PreferenceTrainer], case: Case, rows: dict[str, Any], work: Path) -> Any:
    data = Dataset.from_dict(rows)
    return kind(dpo(BETA), BETA, 0.0, work, data, **_common(case, work, len(data)))


def _theirs(case: Case, rows: dict[str, Any], work: Path) -> Any:
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
