"""How near embedding comes to the machine's limit: `python -m benchmarks.speed.encoder`.

The limit is the time of the matrix products alone, each of 2,048 tokens at once without padding,
measured between the others in the same run; sentence-transformers with its own batches of 32 takes
its turn. Seconds are those of the processor, so that what else the machine does counts little.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from benchmarks.printing import cores, load, say, table
from benchmarks.timing import CPU, Job, race
from prefopt_core.embedding.sentence_encoder import embed
from prefopt_core.models.encoder import PACKAGED, load_encoder

LENGTH = 512
ROWS = 2048
LAYERS, D, INNER = 6, 384, 1536  # of all-MiniLM-L6-v2
_PER_TOKEN = 2 * LAYERS * (4 * D * D + 2 * D * INNER)
_WORDS = ["printer", "floor", "the", "of", "paper", "nobody", "knows", "why", "it", "is", "reset"]


def texts_of(count: int, words: float, rng: np.random.Generator) -> list[str]:
    """Texts of lognormal length, as answers have: `words` is the median, some are five times it."""
    lengths = rng.lognormal(np.log(words), 0.7, count).astype(int) + 1
    return [" ".join(rng.choice(_WORDS, min(length, LENGTH))) for length in lengths]


def products(rows: int) -> None:
    """The matrix products of the encoder's layers, for so many tokens."""
    x, inner = torch.zeros(rows, D), torch.zeros(rows, INNER)
    square, up, down = torch.zeros(D, D), torch.zeros(D, INNER), torch.zeros(INNER, D)
    for _ in range(LAYERS):
        for _ in range(4):  # query, key, value, output
            x @ square
        x @ up
        inner @ down


def flops_of(lengths: Sequence[int]) -> float:
    """Floating point operations of the products for texts of so many tokens, attention included."""
    return float(sum(n * _PER_TOKEN + 4 * LAYERS * n * n * D for n in lengths))


def lengths_of(encoder: SentenceTransformer, texts: Sequence[str]) -> list[int]:
    """Tokens of each text that are read."""
    return [min(len(ids), LENGTH) for ids in encoder.tokenizer(list(texts))["input_ids"]]


def main() -> None:
    """Print a row a median length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--words", type=float, nargs="+", default=[15, 60, 200])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    encoder = load_encoder(PACKAGED, "cpu", LENGTH)
    rows = []
    for words in asked.words:
        texts = texts_of(asked.texts, words, np.random.default_rng(1))
        lengths = lengths_of(encoder, texts)

        def alone(texts: Sequence[str] = texts) -> None:
            encoder.encode(list(texts), batch_size=32, normalize_embeddings=True)

        def ours(texts: Sequence[str] = texts) -> None:
            embed(texts, device="cpu")

        jobs = {
            "bound": Job(lambda: products(ROWS), units=ROWS * _PER_TOKEN),
            "alone": Job(alone, warm=False),
            "ours": Job(ours, warm=False),
        }
        with torch.inference_mode():
            took = {name: time.seconds for name, time in race(jobs, asked.rounds, CPU).items()}
        bound = took["bound"] * flops_of(lengths)
        shares = [f"{bound / took[name]:.0%}" for name in ("alone", "ours")]
        speed = f"{sum(lengths) / took['ours']:,.0f}"
        rows.append([f"{words:g}", f"{sum(lengths) / len(lengths):.0f}", speed, *shares])
    say(f"median of {asked.rounds} rounds; {asked.threads} thread(s), {cores()}, {load()}\n")
    header = ["median words", "tokens", "tokens per CPU s", "batches of 32", "ours"]
    say(table(header, rows, figures=True))
    say("\nThe last two columns: share of what the matrix products alone allow.")


if __name__ == "__main__":
    main()
