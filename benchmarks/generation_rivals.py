"""Other ways to write with a model in this process: plain transformers, and what TRL calls."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefopt_core.threads import threads_for
from prefopt_core.tokens import load_tokenizer

Call = Callable[[], tuple[int, float]]
"""Writes everything once: (tokens, seconds)."""

ROWS = 256  # sequences of a batch, as many as ours takes


def plain_generate(model: Path, ids: list[list[int]], n: int, new: int) -> Call:
    """`model.generate(do_sample=True, num_return_sequences=n)`, in the order of the prompts."""
    network, tokenizer = loaded(model)
    return timed(network, lambda: padded(network, tokenizer, ids, n, new))


def trl_generate(model: Path, ids: list[list[int]], n: int, new: int) -> Call:
    """What GRPOTrainer does without vLLM: `unwrap_model_for_generation`, then `generate`.

    TRL has no generation of its own that stands alone; the trainer repeats each prompt n times.
    """
    from accelerate import Accelerator
    from trl.models import unwrap_model_for_generation

    network, tokenizer = loaded(model)
    accelerator = Accelerator(cpu=True)
    repeated = [prompt for prompt in ids for _ in range(n)]

    def write() -> int:
        with unwrap_model_for_generation(network, accelerator) as unwrapped:
            return padded(unwrapped, tokenizer, repeated, 1, new)

    return timed(network, write)


def trl_continuous(model: Path, ids: list[list[int]], n: int, new: int) -> Call:
    """What GRPOTrainer does with `use_transformers_continuous_batching`: `generate_batch`."""
    from transformers import GenerationConfig

    network, tokenizer = loaded(model)
    config = GenerationConfig(**sampling(tokenizer, new))  # type: ignore[no-untyped-call]
    repeated = [prompt for prompt in ids for _ in range(n)]

    def write() -> int:
        outputs = network.generate_batch(repeated, generation_config=config, progress_bar=False)
        return sum(len(output.generated_tokens) for output in outputs.values())

    return timed(network, write)


def loaded(model: Path) -> tuple[Any, Any]:
    """A model of one's own, in its own dtype, and its tokenizer."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model, dtype="auto").eval(), load_tokenizer(model)


def sampling(tokenizer: Any, new: int) -> dict[str, Any]:
    """Settings of plain sampling from the whole vocabulary."""
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return {"do_sample": True, "top_k": 0, "max_new_tokens": new} | ends


def padded(network: Any, tokenizer: Any, ids: list[list[int]], n: int, new: int) -> int:
    """Write n responses to each prompt, `ROWS` sequences a batch; the tokens up to each end."""
    import torch
    from transformers import GenerationConfig

    config = GenerationConfig(num_return_sequences=n, **sampling(tokenizer, new))  # type: ignore[no-untyped-call]
    tokens, size = 0, max(1, ROWS // n)
    for start in range(0, len(ids), size):
        batch = ids[start : start + size]
        width = max(map(len, batch))
        rows = [[tokenizer.pad_token_id] * (width - len(row)) + row for row in batch]
        seen = [[0] * (width - len(row)) + [1] * len(row) for row in batch]
        written = network.generate(
            input_ids=torch.tensor(rows),
            attention_mask=torch.tensor(seen),
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

    def call() -> tuple[int, float]:
        started = time.perf_counter()
        with torch.no_grad(), threads_for(network):
            tokens = write()
        return tokens, time.perf_counter() - started

    return call
