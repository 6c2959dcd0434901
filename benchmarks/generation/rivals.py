"""Other ways to write with a model in this process: plain transformers, and what TRL calls."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.timing import once
from prefopt_core.models.threads import threads_for
from prefopt_core.models.tokens import load_tokenizer

Call = Callable[[], tuple[int, float]]
"""Writes everything once: (tokens, seconds)."""

BLOCK = 32  # tokens of a block of the cache of `generate_batch`, where it cannot choose itself


@dataclass(frozen=True)
class Asked:
    """What every way has to write.

    Attributes:
        model: Its folder.
        ids: Token ids of each prompt.
        n: Responses to each.
        new: Tokens of a response at most.
        rows: Sequences of a batch, as many as ours takes.
    """

    model: Path
    ids: list[list[int]]
    n: int
    new: int
    rows: int

    def sampling(self) -> dict[str, Any]:
        """Settings of plain sampling from the whole vocabulary."""
        tokenizer = load_tokenizer(self.model)
        ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        return {"do_sample": True, "top_k": 0, "max_new_tokens": self.new} | ends

    def repeated(self) -> list[list[int]]:
        """Each prompt n times, as trainers have it."""
        return [prompt for prompt in self.ids for _ in range(self.n)]


def plain(asked: Asked) -> Call:
    """`model.generate(do_sample=True, num_return_sequences=n)`, in the order of the prompts."""
    network = loaded(asked.model)
    return timed(network, lambda: padded(network, asked, asked.ids, asked.n))


def trl(asked: Asked) -> Call:
    """What GRPOTrainer does without vLLM: `unwrap_model_for_generation`, then `generate`.

    TRL has no generation of its own that stands alone; the trainer repeats each prompt n times.
    """
    import torch
    from accelerate import Accelerator
    from trl.models import unwrap_model_for_generation

    network = loaded(asked.model)
    accelerator = Accelerator(cpu=not torch.cuda.is_available())

    def write() -> int:
        with unwrap_model_for_generation(network, accelerator) as unwrapped:
            return padded(unwrapped, asked, asked.repeated(), 1)

    return timed(network, write)


def continuous(asked: Asked) -> Call:
    """What GRPOTrainer does with `use_transformers_continuous_batching`: `generate_batch`."""
    import torch
    from transformers import ContinuousBatchingConfig, GenerationConfig

    network = loaded(asked.model)
    config = GenerationConfig(**asked.sampling())  # type: ignore[no-untyped-call]
    # Without a GPU's memory to go by it lays out a mask of all there might be, for ever.
    blocks = -(-(max(map(len, asked.ids)) + asked.new) // BLOCK) * asked.rows
    small = {"page_size": BLOCK, "num_blocks": blocks, "max_batch_tokens": asked.rows}
    sizes = ContinuousBatchingConfig(**({} if torch.cuda.is_available() else small))

    def write() -> int:
        outputs = network.generate_batch(
            asked.repeated(),
            generation_config=config,
            continuous_batching_config=sizes,
            progress_bar=False,
        )
        return sum(len(output.generated_tokens) for output in outputs.values())

    return timed(network, write)


@cache
def loaded(model: Path) -> Any:
    """A model of these ways' own, in its own dtype."""
    import torch
    from transformers import AutoModelForCausalLM

    place = "cuda" if torch.cuda.is_available() else "cpu"
    return AutoModelForCausalLM.from_pretrained(model, dtype="auto").eval().to(place)


def padded(network: Any, asked: Asked, ids: list[list[int]], n: int) -> int:
    """Write n responses to each prompt, batch by batch; the tokens up to each end."""
    import torch
    from transformers import GenerationConfig

    tokenizer = load_tokenizer(asked.model)
    config = GenerationConfig(num_return_sequences=n, **asked.sampling())  # type: ignore[no-untyped-call]
    tokens, size = 0, max(1, asked.rows // n)
    for start in range(0, len(ids), size):
        batch = ids[start : start + size]
        width = max(map(len, batch))
        rows = [[tokenizer.pad_token_id] * (width - len(row)) + row for row in batch]
        seen = [[0] * (width - len(row)) + [1] * len(row) for row in batch]
        written = network.generate(
            input_ids=torch.tensor(rows, device=network.device),
            attention_mask=torch.tensor(seen, device=network.device),
            generation_config=config,
        )[:, width:].tolist()
        for row in written:
            end = row.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in row else None
            tokenizer.decode(row[:end], skip_special_tokens=True)
            tokens += len(row[:end])
    return tokens


def timed(network: Any, write: Callable[[], int]) -> Call:
    """With no gradients, and on as many threads as ours takes."""
    import torch

    def run() -> int:
        with torch.no_grad(), threads_for(network):
            return write()

    def call() -> tuple[int, float]:
        tokens, taken = once(run)
        return tokens, taken.seconds

    return call
