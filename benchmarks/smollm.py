"""Can a reward model for the world of short answers be had from real verdicts, on two cores?

A linear head on the frozen start policy learns from the judge's recorded scores of AlpacaEval and
the gold labels of LLMBar. How often it is right is told for prompts that it has not seen, by
source, beside "the longer one is better"; PandaLM's people, whose authors ask that nobody trains on
their prompts, are a test alone. Needs the model of `make smollm`, and the recorded data: `--data`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from benchmarks.estimates import estimate
from benchmarks.printing import interval, progress, say, table
from prefopt_core.arrays import FloatArray
from prefopt_core.ground.ids import Message, digest_of
from prefopt_core.ground.randomness import rng_for
from prefopt_core.models.settings import PolicyConfig
from prefopt_core.models.tokens import any_tokenizer, conversation_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ANSWERS = 2
"""Of AlpacaEval's 32 for each prompt, drawn: each two make a pair."""
TOKENS = 96
"""Of a response that are read; the world's own have 64 at most."""
LAYERS = 10
"""Of the start policy's 30: a third of the time."""
FOLDS = 5
STRENGTH = 0.003
"""Inverse strength of the penalty on the head's weights, on standardised features."""


@dataclass(frozen=True)
class Pairs:
    """Recorded verdicts of one source.

    Attributes:
        source: Its name.
        prompts: (P,) the prompt of each pair.
        better: (P,) the response that was preferred.
        worse: (P,) the other one.
        learned: Whether the head may learn from them.
    """

    source: str
    prompts: list[str]
    better: list[str]
    worse: list[str]
    learned: bool = True


def recorded(data: Path) -> list[Pairs]:
    """The verdicts of all sources, ties left out."""
    return [_alpaca(data), _llmbar(data), _pandalm(data)]


def _alpaca(data: Path) -> Pairs:
    pool = pl.read_parquet(data / "pool_alpaca.parquet", glob=False).sort("prompt_id", "model")
    rows = []
    for group in pool.partition_by("prompt_id", maintain_order=True):
        rng = rng_for(0, "drawn answers", group["prompt_id"][0])
        drawn = group[sorted(rng.choice(len(group), ANSWERS, replace=False).tolist())]
        drawn = drawn.sort("score", descending=True, maintain_order=True)
        said = list(drawn.select("prompt", "response", "score").iter_rows())
        rows += [
            (prompt, better, worse)
            for place, (prompt, better, high) in enumerate(said)
            for _, worse, low in said[place + 1 :]
            if high > low
        ]
    return Pairs("AlpacaEval, GPT-4", *map(list, zip(*rows, strict=True)))


def _llmbar(data: Path) -> Pairs:
    pairs = pl.read_parquet(data / "judge_llmbar.parquet", glob=False)
    pairs = pairs.unique(["prompt_id", "subset", "item"], maintain_order=True)
    first = pl.col("label") == 1
    rows = pairs.select(
        "prompt",
        pl.when(first).then("output_1").otherwise("output_2").alias("better"),
        pl.when(first).then("output_2").otherwise("output_1").alias("worse"),
    )
    return Pairs("LLMBar, gold", *(rows[name].to_list() for name in rows.columns))


def _pandalm(data: Path) -> Pairs:
    pairs = pl.read_parquet(data / "pairs_pandalm.parquet", glob=False).filter(
        pl.col("majority") > 0
    )
    first = pl.col("majority") == 1
    rows = pairs.select(
        "prompt",
        pl.when(first).then("response_a").otherwise("response_b").alias("better"),
        pl.when(first).then("response_b").otherwise("response_a").alias("worse"),
    )
    return Pairs("PandaLM, people", *(rows[name].to_list() for name in rows.columns), learned=False)


def main() -> None:
    """Read, measure, print."""
    from transformers import AutoModelForSequenceClassification

    parser = argparse.ArgumentParser(prog="python -m benchmarks.smollm", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the recorded verdicts")
    arguments = parser.parse_args()
    with TemporaryDirectory() as work:
        start = Path(work, "start")
        start.mkdir()
        PolicyConfig(source="smollm").member()(start, Path(work), 0)
        network = AutoModelForSequenceClassification.from_pretrained(
            start, num_labels=1, num_hidden_layers=LAYERS
        )
        tokenizer = any_tokenizer(start)
    sources = recorded(arguments.data)
    states = [read(pairs, network, tokenizer) for pairs in sources]
    say(told(sources, states))


def told(sources: Sequence[Pairs], states: Sequence[FloatArray]) -> str:
    """How often the head, and the length, are right, by source; means over prompts."""
    held_out = _held_out(sources, states)
    rows = []
    for pairs, margins in zip(sources, held_out, strict=True):
        longer = np.array(
            [len(b) - len(w) for b, w in zip(pairs.better, pairs.worse, strict=True)], float
        )
        told = [interval(*estimate(_by_prompt(pairs, m)), ".2f") for m in (margins, longer)]
        rows.append([pairs.source, str(len(margins)), str(len(set(pairs.prompts))), *told])
    return table(["", "pairs", "prompts", "head", "the longer one"], rows, figures=True)


def _held_out(sources: Sequence[Pairs], states: Sequence[FloatArray]) -> list[FloatArray]:
    """(P,) margins of each source, by heads that have seen none of the pair's prompt."""
    folds = [np.array([int(digest_of(p)[:8], 16) % FOLDS for p in s.prompts]) for s in sources]
    margins = [np.zeros(len(state)) for state in states]
    for fold in range(FOLDS):
        seen = [
            state[own != fold]
            for pairs, state, own in zip(sources, states, folds, strict=True)
            if pairs.learned
        ]
        head = trained(np.concatenate(seen))
        for state, own, margin in zip(states, folds, margins, strict=True):
            margin[own == fold] = state[own == fold] @ head
    return margins


def trained(differences: FloatArray) -> FloatArray:
    """(d,) weights w of a Bradley-Terry head: P(better ≻ worse) = σ(w · difference).

    Args:
        differences: (P, d) state of the better response minus that of the worse one.
    """
    from sklearn.linear_model import LogisticRegression

    scale = differences.std(axis=0) + 1e-6
    both = np.concatenate([differences, -differences]) / scale
    sides = np.repeat([1, 0], len(differences))
    learned = LogisticRegression(C=STRENGTH, fit_intercept=False, max_iter=1000).fit(both, sides)
    return learned.coef_[0] / scale


def _by_prompt(pairs: Pairs, margins: FloatArray) -> FloatArray:
    """The share of a prompt's pairs that are right; a margin of 0 is half right."""
    right: dict[str, list[float]] = {}
    for prompt, margin in zip(pairs.prompts, margins, strict=True):
        right.setdefault(prompt, []).append(0.5 + 0.5 * float(np.sign(margin)))
    return np.array([np.mean(own) for own in right.values()])


def read(pairs: Pairs, network: Any, tokenizer: "PreTrainedTokenizerBase") -> FloatArray:
    """(P, d) last hidden state of the better response minus that of the worse one."""
    known: dict[tuple[str, str], FloatArray] = {}
    for response in chain(
        zip(pairs.prompts, pairs.better, strict=True), zip(pairs.prompts, pairs.worse, strict=True)
    ):
        if response not in known:
            known[response] = _last_state(*response, network, tokenizer)
            if len(known) % 100 == 0:
                progress(f"{pairs.source}: {len(known)} responses read")
    better, worse = (
        np.array([known[prompt, text] for prompt, text in zip(pairs.prompts, side, strict=True)])
        for side in (pairs.better, pairs.worse)
    )
    return better - worse


def _last_state(
    prompt: str, response: str, network: Any, tokenizer: "PreTrainedTokenizerBase"
) -> FloatArray:
    import torch

    text = tokenizer.decode(tokenizer(response)["input_ids"][:TOKENS])
    said = [Message(role="user", content=prompt), Message(role="assistant", content=text)]
    ids = torch.tensor([conversation_token_ids(tokenizer, said)])
    with torch.inference_mode():
        return network.model(input_ids=ids).last_hidden_state[0, -1].numpy()


if __name__ == "__main__":
    main()
