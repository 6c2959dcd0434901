"""How fast is generation? Tokens per second of every way to write the same responses, in one run.

    PREFOPT_VLLM_PYTHON=.venv-vllm/bin/python python -m benchmarks.generation
    python -m benchmarks.generation --model random:0.5B --ways transformers plain --messages 16

The ways take turns on the same prompts, n and limits; each draws its own samples, so the unit is a
token written, the end of sequence included. Ours are whole stages: prompts from the store, Parquet
into it. Absolute figures hold for one machine under one load. A way whose library is missing is
skipped, visibly. A random model seldom ends a response: nearly all are as long as they may be.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import torch
import transformers

from benchmarks.generation.models import model_at
from benchmarks.generation.rivals import Asked, Call, continuous, plain, trl
from benchmarks.printing import cores, progress, say, table
from benchmarks.timing import in_turn, once
from prefopt_core import models
from prefopt_core.artifacts import Artifact, Model
from prefopt_core.config import GenerationConfig
from prefopt_core.engine import PYTHON, _threads
from prefopt_core.engine.link import DEFAULTS, FIXED, FOREIGN
from prefopt_core.errors import MissingExtraError
from prefopt_core.generation import Prompt
from prefopt_core.helpdesk.prompts import prompts
from prefopt_core.store import Store
from prefopt_core.tables import in_shards
from prefopt_core.tokens import load_tokenizer, prompt_ids
from tasks.generation import generate_candidates

BARE = Path(__file__).with_name("vllm_alone.py")
WAYS = {
    "vllm": "ours, vllm",
    "transformers": "ours, transformers",
    "bare": "vLLM alone, same request",
    "bare-least": "vLLM alone, unseeded, without logprobs",
    "plain": "model.generate",
    "trl": "TRL: unwrap + generate",
    "batch": "TRL: generate_batch",
}


@dataclass(frozen=True)
class Way:
    """One way to write: `call` does it once and returns (tokens, seconds)."""

    name: str
    call: Call


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
        ids = [prompt_ids(load_tokenizer(model), prompt.messages) for prompt in asked]
        say(f"{machine()}; {np.mean(list(map(len, ids))):.0f} tokens a prompt")
        ways = list(available(arguments, model, asked, ids, stack))
        say(rates(in_turn({way.name: partial(rate, way) for way in ways}, arguments.rounds)))


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
) -> Iterator[Way]:
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
            yield Way(WAYS[key], call)


def engine_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same for our engine and the bare one; both are there at once."""
    if torch.cuda.is_available():
        return {"gpu_memory_utilization": arguments.gpu_share}
    return {"enforce_eager": True}  # to compile for a CPU takes longer than all that is measured


@contextmanager
def stage(
    generator: str, asked: list[Prompt], model: Path, arguments: argparse.Namespace
) -> Iterator[Call]:
    """The stage as a run has it: shards out of the store and into it."""
    store = Store.open()
    rows = [{"prompt_id": p.prompt_id, "prompt": list(p.messages)} for p in asked]
    shards = [
        store.put_table("prompts", shard)
        for shard in in_shards(pl.DataFrame(rows), arguments.shard_size)
    ]
    own = {"transformers": {"batch_size": arguments.batch_size}, "vllm": engine_settings(arguments)}
    params = {"max_new_tokens": arguments.new_tokens} | own[generator]
    config = GenerationConfig(generator=generator, n=arguments.n, params=params)
    table = Artifact(table="prompts", shards=tuple(shards))
    inputs = generate_candidates.spec.bind(table, stored(store, model), config, 0)
    held: dict[Any, Any] = {}  # a run holds one model; here each stage has its own, to take turns

    def call() -> tuple[int, float]:
        with patch.object(models, "_loaded", held):
            outcome, taken = once(lambda: generate_candidates.spec.run(store, inputs, refresh=True))
        assert isinstance(outcome.value, Artifact)
        made = store.read(outcome.value, ["response_token_ids"])
        return int(made["response_token_ids"].list.len().sum()), taken.seconds

    yield call
    with patch.object(models, "_loaded", held):
        models.release_models()


def stored(store: Store, model: Path) -> Model:
    """The model as an artifact, by links to its files."""
    folder = Path(tempfile.mkdtemp(dir=store.root))
    for file in model.iterdir():
        if file.is_file():
            (folder / file.name).symlink_to(file.resolve())
    return store.put_model(folder)


@contextmanager
def bare_engine(
    asked: Asked, settings: dict[str, Any]
) -> Iterator[Callable[[str], tuple[int, float]]]:
    """`LLM.generate` on all prompts at once, in a process like our engine's: as many threads.

    By itself vLLM takes all cores and three processes, which for a small model is slower.
    """
    python = os.environ.get(PYTHON, sys.executable)
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    work = [str(asked.model), str(asked.n), str(asked.new), json.dumps(settings)]
    command = [python, str(BARE), *work]
    pipe, environment = subprocess.PIPE, DEFAULTS | _threads(asked.model) | inherited | FIXED
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdin
        assert process.stdout
        with suppress(BrokenPipeError):  # the first answer tells
            print(json.dumps(asked.ids), file=process.stdin, flush=True)

        def call(what: str) -> tuple[int, float]:
            assert process.stdout
            try:
                print(what, file=process.stdin, flush=True)
                tokens, seconds = json.loads(process.stdout.readline())
            except (BrokenPipeError, ValueError):
                raise MissingExtraError(f"{python} could not start vLLM") from None
            return tokens, seconds

        yield call
        with suppress(BrokenPipeError):
            process.stdin.close()


def rate(way: Way) -> float:
    """Tokens per second of one round."""
    tokens, seconds = way.call()
    progress(f"{way.name}: {tokens} tokens, {tokens / seconds:.0f}/s{memory()}")
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
    for name, rate in found.items():
        ratios = [np.divide(found[own], rate) for own in ours]
        shown = [f"{np.median(r):.2f} ({r.min():.2f}–{r.max():.2f})" for r in ratios]
        rows.append([name, f"{np.median(rate):,.0f}", *shown])
    return table(["", "tokens/s", *(f"{name} : this" for name in ours)], rows, figures=True)


if __name__ == "__main__":
    main()
