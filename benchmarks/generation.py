"""How fast is generation? Tokens per second of every way to write the same responses, in one run.

    PREFOPT_VLLM_PYTHON=.venv-vllm/bin/python python -m benchmarks.generation

The ways take turns on the same prompts, n and limits; each draws its own samples, so the unit is a
token written, the end of sequence included. Ours are whole stages: prompts from the store, Parquet
into it. Absolute figures hold for one machine under one load.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generation_rivals import plain_generate, trl_continuous, trl_generate
from prefopt_core.artifacts import Artifact, Model
from prefopt_core.config import GenerationConfig
from prefopt_core.engine import PYTHON
from prefopt_core.generation import Prompt
from prefopt_core.helpdesk.pretraining import pretrain
from prefopt_core.helpdesk.prompts import prompts
from prefopt_core.store import Store
from prefopt_core.tables import in_shards
from prefopt_core.tokens import load_tokenizer, prompt_ids
from tasks.generation import generate_candidates

NEW = 96  # tokens of a response at most
BARE = Path(__file__).with_name("generation_bare.py")


@dataclass(frozen=True)
class Way:
    """One way to write: `call` does it once and returns (tokens, seconds)."""

    name: str
    call: Callable[[], tuple[int, float]]


def main() -> None:
    """Measure in turn, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=__doc__)
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shard-size", type=int, default=64, help="prompts, as in a run")
    parser.add_argument("--model", type=Path, help="a model folder; left out: the help desk's")
    parser.add_argument("--without", nargs="*", default=[], help="ways to leave out")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PREFOPT_STORE"] = str(folder / "store")
        model = arguments.model or trained(folder)
        ways = [
            way for way in every_way(arguments, model, stack) if way.name not in arguments.without
        ]
        measured = race(ways, arguments.rounds)
    print(table(measured))


def trained(folder: Path) -> Path:
    """The help desk's model, as the quickstart trains it."""
    (folder / "model").mkdir()
    pretrain(folder / "model", folder / "work", 0)
    return folder / "model"


def every_way(arguments: argparse.Namespace, model: Path, stack: ExitStack) -> Iterator[Way]:
    """Ours, and what they are compared with; the bare engine only where there is one."""
    asked = [
        Prompt(str(i), [{"role": "user", "content": text}])
        for i, text in enumerate(prompts(arguments.prompts, seed=0))
    ]
    ids = [prompt_ids(load_tokenizer(model), prompt.messages) for prompt in asked]
    for generator in ("vllm", "transformers"):
        if generator == "transformers" or os.environ.get(PYTHON):
            yield Way(f"ours, {generator}", stage(generator, asked, model, arguments))
    if os.environ.get(PYTHON):
        bare = stack.enter_context(bare_engine(model, ids, arguments.n))
        yield Way("vLLM alone, same request", lambda: bare("same"))
        yield Way("vLLM alone, unseeded, without logprobs", lambda: bare("least"))
    for name, rival in (
        ("model.generate", plain_generate),
        ("TRL: unwrap + generate", trl_generate),
        ("TRL: generate_batch", trl_continuous),
    ):
        yield Way(name, rival(model, ids, arguments.n, NEW))


def stage(
    generator: str, asked: list[Prompt], model: Path, arguments: argparse.Namespace
) -> Callable[[], tuple[int, float]]:
    """The stage as a run has it: shards out of the store and into it."""
    import time

    import polars as pl

    store = Store.open()
    rows = [{"prompt_id": p.prompt_id, "prompt": list(p.messages)} for p in asked]
    shards = [
        store.put_table("prompts", shard)
        for shard in in_shards(pl.DataFrame(rows), arguments.shard_size)
    ]
    params: dict[str, Any] = {"max_new_tokens": NEW}
    params |= {"batch_size": 256} if generator == "transformers" else {"enforce_eager": True}
    config = GenerationConfig(generator=generator, n=arguments.n, params=params)
    table = Artifact(table="prompts", shards=tuple(shards))
    policy = stored(store, model)
    inputs = generate_candidates.spec.bind(table, policy, config, 0)

    def call() -> tuple[int, float]:
        started = time.perf_counter()
        outcome = generate_candidates.spec.run(store, inputs, refresh=True)
        seconds = time.perf_counter() - started
        assert isinstance(outcome.value, Artifact)
        made = store.read(outcome.value, ["response_token_ids"])
        return int(made["response_token_ids"].list.len().sum()), seconds

    return call


def stored(store: Store, model: Path) -> Model:
    """The model as an artifact, by links to its files."""
    folder = Path(tempfile.mkdtemp(dir=store.root))
    for file in model.iterdir():
        if file.is_file():
            (folder / file.name).symlink_to(file.resolve())
    return store.put_model(folder)


@contextmanager
def bare_engine(
    model: Path, ids: list[list[int]], n: int
) -> Iterator[Callable[[str], tuple[int, float]]]:
    """`LLM.generate` on all prompts at once, in a process of the same environment."""
    command = [os.environ[PYTHON], str(BARE), str(model), str(n), str(NEW)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        print(json.dumps(ids), file=process.stdin, flush=True)

        def call(what: str) -> tuple[int, float]:
            print(what, file=process.stdin, flush=True)
            assert process.stdout
            tokens, seconds = json.loads(process.stdout.readline())
            return tokens, seconds

        yield call
        process.stdin.close()


def race(ways: list[Way], rounds: int) -> dict[str, list[float]]:
    """Tokens per second of every round, the ways in turn; the first round is not counted."""
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    for turn in range(rounds + 1):
        for way in ways:
            tokens, seconds = way.call()
            print(f"{turn} {way.name}: {tokens / seconds:.0f}/s", file=sys.stderr, flush=True)
            if turn:
                rates[way.name].append(tokens / seconds)
    return rates


def table(rates: dict[str, list[float]]) -> str:
    """Medians, and the ratios of both of ours to each; a ratio is the median over the rounds."""
    ours = [name for name in rates if name.startswith("ours")]
    head = ["", "tokens/s", *(f"{name} : this" for name in ours)]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    for name, rate in rates.items():
        ratios = [np.median(np.divide(rates[own], rate)) for own in ours]
        lines.append([name, f"{np.median(rate):,.0f}", *(f"{ratio:.2f}" for ratio in ratios)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
