"""How fast is generation? Tokens per second of every way to write the same responses, in one run.

    PREFOPT_VLLM_PYTHON=.venv-vllm/bin/python python -m benchmarks.generation
    python -m benchmarks.generation --model random:0.5B --ways transformers plain --messages 16

The ways take turns on the same prompts, n and limits; each draws its own samples, so the unit is a
token written, the end of sequence included. Ours are whole stages: prompts from the store, Parquet
into it. Absolute figures hold for one machine under one load. A way whose library is missing is
skipped, visibly. A random model seldom ends a response: nearly all are as long as they may be.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers

from benchmarks.generation.bare_engine import bare_engine
from benchmarks.generation.models import model_at
from benchmarks.generation.our_stage import engine_settings, stage
from benchmarks.generation.rivals import Asked, Call, continuous, plain, trl
from benchmarks.printing import cores, progress, say, table
from benchmarks.timing import in_turn
from prefopt_core.ground.errors import MissingExtraError
from prefopt_core.ground.ids import Prompt
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids
from prefopt_core.worlds.helpdesk.prompts import prompts

WAYS = {
    "vllm": "ours, vllm",
    "transformers": "ours, transformers",
    "bare": "vLLM alone, same request",
    "bare-least": "vLLM alone, unseeded, without logprobs",
    "plain": "model.generate",
    "trl": "TRL: unwrap + generate",
    "batch": "TRL: generate_batch",
}


def main() -> None:
    """Measure in turn, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY",
                        help=f"which to compare: {', '.join(WAYS)}")  # fmt: skip
    parser.add_argument("--model", default="helpdesk", help="helpdesk, random:SIZE or a folder")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--messages", type=int, default=1, help="of the help desk, in each prompt")
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=96, help="of a response, at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shard-size", type=int, default=64, help="prompts, as in a run")
    parser.add_argument("--batch-size", type=int, default=256, help="sequences, for transformers")
    parser.add_argument("--gpu-share", type=float, default=0.35, help="memory of each vLLM engine")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PREFOPT_STORE"] = str(folder / "store")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB, of each of two engines
        model = model_at(arguments.model, folder)
        asked = [
            Prompt(str(i), [{"role": "user", "content": text}])
            for i, text in enumerate(texts(arguments.prompts, arguments.messages))
        ]
        ids = [prompt_token_ids(load_tokenizer(model), prompt.messages) for prompt in asked]
        say(f"{machine()}; {np.mean(list(map(len, ids))):.0f} tokens a prompt")
        ways = {
            name: partial(rate, name, call)
            for name, call in available(arguments, model, asked, ids, stack)
        }
        say(rates(in_turn(ways, arguments.rounds)))


def texts(count: int, messages: int) -> list[str]:
    """Distinct prompts of so many of the help desk's messages each."""
    every = prompts(count * messages, seed=0)
    return [" ".join(every[i::count]) for i in range(count)]


def machine() -> str:
    """What it ran on."""
    place = torch.cuda.get_device_name() if torch.cuda.is_available() else cores()
    return f"{place}; torch {torch.__version__}, transformers {transformers.__version__}"


def available(
    arguments: argparse.Namespace,
    model: Path,
    asked: list[Prompt],
    ids: list[list[int]],
    stack: ExitStack,
) -> Iterator[tuple[str, Call]]:
    """The ways asked for, each having written once, outside the clock; not those that cannot."""
    work = Asked(model, ids, arguments.n, arguments.new_tokens, arguments.batch_size)
    builders: dict[str, Callable[[], Call]] = {
        "vllm": lambda: stack.enter_context(stage("vllm", asked, model, arguments)),
        "transformers": lambda: stack.enter_context(stage("transformers", asked, model, arguments)),
        "plain": lambda: plain(work),
        "trl": lambda: trl(work),
        "batch": lambda: continuous(work),
    }
    if bare := {"bare": "same", "bare-least": "least"}.keys() & set(arguments.ways):
        engine = stack.enter_context(bare_engine(work, engine_settings(arguments)))
        builders |= {"bare": lambda: partial(engine, "same")} if "bare" in bare else {}
        builders |= {"bare-least": lambda: partial(engine, "least")} if "bare-least" in bare else {}
    for key in arguments.ways:
        try:
            call = builders[key]()
            call()
        except (ImportError, MissingExtraError) as error:
            say(f"{WAYS[key]} is skipped: {error}")
        else:
            progress(f"{WAYS[key]} is ready{memory()}")
            yield WAYS[key], call


def rate(name: str, call: Call) -> float:
    """Tokens per second of one round."""
    tokens, seconds = call()
    progress(f"{name}: {tokens} tokens, {tokens / seconds:.0f}/s{memory()}")
    return tokens / seconds


def memory() -> str:
    """What of the GPU is taken, by all processes, and the most that tensors of this one took."""
    if not torch.cuda.is_available():
        return ""
    free, total = torch.cuda.mem_get_info()
    most = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    gib = 2**30
    taken = f"; GPU memory {(total - free) / gib:.1f} of {total / gib:.0f} GiB"
    return f"{taken}, tensors here at most {most / gib:.1f}"


def rates(found: dict[str, list[float]]) -> str:
    """Medians, and the ratios of ours to each: the median over the rounds, lowest to highest."""
    ours = [name for name in found if name.startswith("ours")]
    rows = []
    for name, own_rates in found.items():
        ratios = [np.divide(found[own], own_rates) for own in ours]
        shown = [f"{np.median(r):.2f} ({r.min():.2f}–{r.max():.2f})" for r in ratios]
        rows.append([name, f"{np.median(own_rates):,.0f}", *shown])
    return table(["", "tokens/s", *(f"{name} : this" for name in ours)], rows, figures=True)


if __name__ == "__main__":
    main()
