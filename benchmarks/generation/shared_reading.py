"""What it saves that the samples of a prompt share the reading of it, and what a static cache does.

    python -m benchmarks.generation.shared_reading

Prints docs/generation.md's table: CPU seconds of one thread, the least of three, ways in turn.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from transformers import GenerationConfig

from benchmarks.generation.models import model_at
from benchmarks.printing import head, line, say
from benchmarks.timing import CPU, Job, laps
from prefopt_core.generation import Response, decoding
from prefopt_core.generation.transformers_local import generate
from prefopt_core.ground.ids import Prompt
from prefopt_core.models.loading import load_model
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids
from prefopt_core.worlds.helpdesk.prompts import prompts

PROMPTS, N, ROUNDS = 16, 8, 3
NEVER, ALWAYS = 10**9, 2  # tokens from which on the reading is shared
HEADER = ("model", "tokens of a prompt", "new", "each for itself", "shared", "same", "logps within")


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.generation.shared_reading",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    torch.set_num_threads(1)
    say(head(HEADER, figures=True))
    with TemporaryDirectory() as folder:
        for named, new, lengths in (("random:14M", 8, (1, 2, 3, 6)), ("helpdesk", 24, (1, 3))):
            (work := Path(folder, named.replace(":", "-"))).mkdir()
            model = model_at(named, work)
            for messages in lengths:
                say(line(row(named, model, new, messages)))
        dynamic, static = caches(model)
        say(f"\nhelpdesk, 64 rows, 48 tokens: {dynamic:.2f} CPU s, static cache {static:.2f}")


def row(named: str, model: Path, new: int, messages: int) -> list[str]:
    """One line of the table, for prompts of so many of the help desk's messages."""
    texts = prompts(PROMPTS * messages, seed=0)
    asked = [
        Prompt(str(i), [{"role": "user", "content": " ".join(texts[i::PROMPTS])}])
        for i in range(PROMPTS)
    ]
    tokenizer = load_tokenizer(model)
    lengths = [len(prompt_token_ids(tokenizer, prompt.messages)) for prompt in asked]
    written: dict[int, list[Response]] = {}

    def write(shared_from: int) -> None:
        with patch.object(decoding, "SHARED_FROM", shared_from):
            rows = generate(asked, model, N, 0, max_new_tokens=new, device="cpu")
        written[shared_from] = [response for row in rows for response in row]

    alone, shared = least(lambda: write(NEVER), lambda: write(ALWAYS))
    both = list(zip(written[NEVER], written[ALWAYS], strict=True))
    same = [(a, b) for a, b in both if a.token_ids == b.token_ids]
    apart = max(abs((a.logps or 0.0) - (b.logps or 0.0)) for a, b in same)
    seconds = f"{alone:.2f}", f"{shared:.2f}"
    alike = f"{len(same)} of {len(both)}"
    return [named, f"{min(lengths)}–{max(lengths)}", str(new), *seconds, alike, f"{apart:.0e}"]


def caches(model: Path) -> tuple[float, float]:
    """CPU seconds of transformers' own generation, by its growing and by its static cache."""
    network, ids = load_model(model, "cpu"), torch.full((64, 20), 5)
    config = GenerationConfig(do_sample=False, max_new_tokens=48, min_new_tokens=48, pad_token_id=0)  # type: ignore[no-untyped-call]

    def write(**more: object) -> None:
        with torch.inference_mode():
            network.generate(  # type: ignore[operator]
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=config,
                disable_compile=True,
                **more,
            )

    return least(write, lambda: write(cache_implementation="static"))


def least(one: Callable[[], None], other: Callable[[], None]) -> tuple[float, float]:
    """The least CPU seconds of each."""
    jobs = {"one": Job(one, warm=False), "other": Job(other, warm=False)}
    taken = laps(jobs, ROUNDS, CPU)
    return min(taken["one"]), min(taken["other"])


if __name__ == "__main__":
    main()
