"""How near embedding comes to the machine's limit: `python -m benchmarks.speed.encoder`.

The limit is the time of the matrix products alone on one thread, each of 2,048 tokens at once
without padding and into memory that is there, measured between the others in the same run;
sentence-transformers with its own batches of 32 takes its turn. Shares are of the processor's time,
so that what else the machine does counts little; tokens a second are by the clock, too.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from benchmarks.printing import cores, load, say, table
from benchmarks.timing import CPU, WALL, in_turn
from prefopt_core.embedding.sentence_encoder import embed
from prefopt_core.models.encoder import PACKAGED, load_encoder
from prefopt_core.models.threads import one_thread

LENGTH = 512
ROWS = 2048
LAYERS, D, INNER = 6, 384, 1536  # of all-MiniLM-L6-v2
_PER_TOKEN = 2 * LAYERS * (4 * D * D + 2 * D * INNER)
_WORDS = ["printer", "floor", "the", "of", "paper", "nobody", "knows", "why", "it", "is", "reset"]


def texts_of(count: int, words: float, rng: np.random.Generator) -> list[str]:
    """Texts of lognormal length, as answers have: `words` is the median, some are five times it."""
    lengths = rng.lognormal(np.log(words), 0.7, count).astype(int) + 1
    return [" ".join(rng.choice(_WORDS, min(length, LENGTH))) for length in lengths]


class Products:
    """The matrix products of the encoder's layers, for so many tokens."""

    def __init__(self, rows: int) -> None:
        self._x, self._inner = torch.zeros(rows, D), torch.zeros(rows, INNER)
        self._out, self._wide = torch.zeros(rows, D), torch.zeros(rows, INNER)
        self._square = torch.zeros(D, D)
        self._up, self._down = torch.zeros(D, INNER), torch.zeros(INNER, D)

    def __call__(self) -> None:
        """Compute them all once, on one thread."""
        with one_thread():
            for _ in range(LAYERS):
                for _ in range(4):  # query, key, value, output
                    torch.mm(self._x, self._square, out=self._out)
                torch.mm(self._x, self._up, out=self._wide)
                torch.mm(self._inner, self._down, out=self._out)


def flops_of(lengths: Sequence[int]) -> float:
    """Floating point operations of the products for texts of so many tokens, attention included."""
    return float(sum(n * _PER_TOKEN + 4 * LAYERS * n * n * D for n in lengths))


def lengths_of(encoder: SentenceTransformer, texts: Sequence[str]) -> list[int]:
    """Tokens of each text that are read."""
    return [min(len(ids), LENGTH) for ids in encoder.tokenizer(list(texts))["input_ids"]]


def clocks() -> tuple[float, float]:
    """Seconds of the processor, and by the clock."""
    return CPU(), WALL()


def seconds(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Run all in turn: the median seconds of each, of the processor and by the clock."""

    def lap(job: Callable[[], object]) -> np.ndarray:
        start = np.array(clocks())
        job()
        return np.array(clocks()) - start

    laps = in_turn({name: partial(lap, job) for name, job in jobs.items()}, rounds)
    return {name: np.median(lap, axis=0) for name, lap in laps.items()}


def row(words: float, threads: int, count: int, rounds: int) -> list[str]:
    """Time texts of this median length on so many threads."""
    texts = texts_of(count, words, np.random.default_rng(1))
    encoder = load_encoder(PACKAGED, "cpu", LENGTH)
    lengths = lengths_of(encoder, texts)
    embed(texts[:8], device="cpu")  # loaded
    torch.set_num_threads(threads)
    jobs = {
        "bound": Products(ROWS),
        "alone": lambda: encoder.encode(texts, batch_size=32, normalize_embeddings=True),
        "ours": lambda: embed(texts, device="cpu"),
    }
    with torch.inference_mode():
        took = seconds(jobs, rounds)
    bound = took["bound"][0] / (ROWS * _PER_TOKEN) * flops_of(lengths)
    shares = [f"{bound / took[name][0]:.0%}" for name in ("alone", "ours")]
    speeds = [f"{sum(lengths) / time:,.0f}" for time in took["ours"]]
    mean = f"{sum(lengths) / len(lengths):.0f}"
    return [str(threads), f"{words:g}", mean, *speeds, *shares]


def main() -> None:
    """Print a row a number of threads and a median length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--words", type=float, nargs="+", default=[15, 60, 200])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    rows = [row(w, n, asked.texts, asked.rounds) for n in asked.threads for w in asked.words]
    say(f"median of {asked.rounds} rounds; {cores()}, {load()}\n")
    header = ["threads", "median words", "tokens", "tokens per CPU s", "per s", "batches of 32"]
    say(table([*header, "ours"], rows, figures=True))
    say("\nThe last two columns: share of what the matrix products alone allow a CPU second.")


if __name__ == "__main__":
    main()
