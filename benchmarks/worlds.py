"""What the bench worlds are like before any preference training, as data/README.md states it.

Samples the start policy of each world (cached in the store), scores the samples by the world's
gold function, and asks what else would give the preference away. The stories need a model that is
not part of prefopt, --model; short answers that of `make smollm`, --answers. Means over prompts,
with 95 % bootstrap intervals.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.estimates import agreement, estimate
from benchmarks.printing import interval, progress, say, table
from prefopt_core.annotation import GOLD_FUNCTIONS
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.models.settings import PolicyConfig
from prefopt_core.store.store import Store
from tasks.generation import generate_candidates
from tasks.inputs import load_prompts
from tasks.models import load_policy

FloatArray = npt.NDArray[np.float64]

N = 8
"""Responses per prompt."""


@dataclass(frozen=True)
class World:
    """A start policy, prompts, a gold function, and how presets sample in it."""

    name: str
    policy: dict[str, Any]
    prompts: str
    gold: str
    max_new_tokens: int
    temperature: float


@dataclass(frozen=True)
class Samples:
    """One prompt's responses.

    Attributes:
        gold: (N,) scores.
        words: (N,) numbers of words.
        logps: (N,) log π(y|x) of the start policy, in nats.
        tokens: (N,) numbers of tokens.
        unfinished: (N,) 1 where the response was cut off.
        texts: The N responses.
    """

    gold: FloatArray
    words: FloatArray
    logps: FloatArray
    tokens: FloatArray
    unfinished: FloatArray
    texts: Sequence[str]


def worlds(model: Path | None, *, answers: bool = False) -> list[World]:
    """The help desk; the stories, if there is a model to tell them; short answers, if wanted."""
    helpdesk = World(
        name="help desk",
        policy={"source": "helpdesk"},
        prompts="helpdesk",
        gold="helpdesk",
        max_new_tokens=96,
        temperature=1.0,
    )
    short = World(
        name="short answers",
        policy={"source": "smollm"},
        prompts="smollm",
        gold="smollm",
        max_new_tokens=64,
        temperature=0.8,
    )
    if model is None:
        return [helpdesk, *[short] * answers]
    stories = World(
        name="stories",
        policy={
            "source": "pretrained",
            "params": {"path": str(model), "chat_template": "plain"},
        },
        prompts="stories",
        gold="stories",
        max_new_tokens=64,
        temperature=0.7,
    )
    return [helpdesk, stories, *[short] * answers]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worlds", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of stories260K-hf")
    parser.add_argument("--answers", action="store_true", help="of SmolLM, too; 15 s a prompt")
    parser.add_argument("--prompts", type=int, default=100, help="of each world (100)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.model and not (arguments.model / "config.json").is_file():
        parser.error(f"{arguments.model} is no model folder: there is no config.json in it.")
    found = worlds(arguments.model, answers=arguments.answers)
    measured = {
        world.name: figures(sample(world, arguments.prompts, arguments.seed)) for world in found
    }
    say(f"{arguments.prompts} prompts × {N} samples, seed {arguments.seed}\n")
    say(side_by_side(measured))
    if arguments.model is None:
        progress("\nWithout the stories: give their model by --model PATH.")


def sample(world: World, prompts: int, seed: int) -> list[Samples]:
    """What the start policy answers to `prompts` prompts, and what gold says of it."""
    written = load_prompts(PromptsConfig(source=world.prompts, params={"count": prompts}), seed)
    sampling = {"max_new_tokens": world.max_new_tokens, "temperature": world.temperature}
    generation = GenerationConfig(n=N, params={**sampling, "batch_size": 256})
    policy = load_policy(PolicyConfig.model_validate(world.policy), seed)
    candidates = generate_candidates(written, policy, generation, seed)
    read, gold = Store.open().read, GOLD_FUNCTIONS[world.gold]
    rows = read(candidates).join(read(written), "prompt_id", maintain_order="left")
    groups = rows.partition_by("prompt_id", maintain_order=True)
    return [_samples(group, gold) for group in groups]


def _samples(group: pl.DataFrame, gold: Callable[[str, str], float]) -> Samples:
    prompt, texts = group["prompt"][0][-1]["content"], group["response"].to_list()
    return Samples(
        gold=np.array([gold(prompt, text) for text in texts]),
        words=np.array([float(len(text.split())) for text in texts]),
        logps=group["logps"].to_numpy(),
        tokens=group["response_token_ids"].list.len().cast(pl.Float64).to_numpy(),
        unfinished=(group["finish_reason"] == "length").cast(pl.Float64).to_numpy(),
        texts=texts,
    )


def figures(samples: Sequence[Samples]) -> dict[str, str]:
    """Row of the table → what stands in it."""
    scores = np.concatenate([s.gold for s in samples])
    low, *middle, high = np.quantile(scores, [0.05, 0.25, 0.5, 0.75, 0.95])
    quartiles = " / ".join(f"{value:.2f}" for value in middle)
    judges: dict[str, Callable[[Samples], FloatArray]] = {
        "longer is better": lambda s: s.words,
        "more likely is better": lambda s: s.logps,
        "more likely per token is better": lambda s: s.logps / s.tokens,
    }
    return {
        "gold score, mean": _mean(samples, lambda s: s.gold.mean()),
        "gold score, standard deviation": f"{scores.std():.2f}",
        "… within a prompt": _mean(samples, lambda s: s.gold.std(ddof=1)),
        "… quartiles": quartiles,
        "… 5 % and 95 %": f"{low:.2f}, {high:.2f}",
        f"best of {N} minus mean": _mean(samples, lambda s: s.gold.max() - s.gold.mean()),
        "pairs that tie": _mean(samples, lambda s: float((margins(s.gold) == 0).mean())),
        **{
            name: _mean(samples, lambda s, of=of: right(of(s), s.gold))
            for name, of in judges.items()
        },
        f"distinct responses of {N}": _mean(samples, lambda s: float(len(set(s.texts)))),
        "words": _mean(samples, lambda s: s.words.mean(), digits=1),
        "cut off": _mean(samples, lambda s: s.unfinished.mean()),
    }


def margins(scores: FloatArray) -> FloatArray:
    """(N(N-1)/2,) first minus second, of all pairs of one prompt.

    >>> margins(np.array([3.0, 1.0, 1.0]))
    array([2., 2., 0.])
    """
    return np.array([a - b for a, b in combinations(scores, 2)])


def right(judge: FloatArray, gold: FloatArray) -> float:
    """The share of pairs that gold tells apart which the judge orders alike; NaN if none is."""
    own, true = margins(judge), margins(gold)
    decided = true != 0
    return agreement(own[decided], true[decided]) if decided.any() else np.nan


def _mean(samples: Sequence[Samples], of: Callable[[Samples], float], digits: int = 2) -> str:
    """Over prompts, with its interval."""
    return interval(*estimate(np.array([of(s) for s in samples])), f".{digits}f")


def side_by_side(measured: dict[str, dict[str, str]]) -> str:
    """Worlds side by side, in Markdown."""
    names = list(measured)
    rows = [[label, *(measured[n][label] for n in names)] for label in measured[names[0]]]
    return table(["", *names], rows, figures=True)


if __name__ == "__main__":
    main()
