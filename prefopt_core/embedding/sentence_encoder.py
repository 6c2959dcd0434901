"""Embedder `sentence-transformers`: all-MiniLM-L6-v2 as in AEPO's code, or another encoder."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.registry import InputPath, SpeedOnly
from prefopt_core.models.encoder import (
    PACKAGED,
    check_encoder,
    encoder_positions,
    encoder_tokenizer,
    load_encoder,
)

_MARKS = 4
_CHARACTERS = 4  # of a token, about
_TOKENS = 1024
"""Of a batch on a CPU: what lies between two matrix products stays in its caches."""


def embed(
    texts: Sequence[str],
    *,
    model: InputPath = PACKAGED,
    max_length: PositiveInt = 512,
    batch_size: SpeedOnly[PositiveInt] = 32,
    device: SpeedOnly[str] = "auto",
) -> npt.NDArray[np.float32]:
    """Encode with sentence-transformers: the packaged all-MiniLM-L6-v2, a folder, or a hub id.

    Args:
        texts: The texts to embed.
        model: A folder, a hub id, or all-MiniLM-L6-v2, AEPO's encoder, from the extra `minilm`.
        max_length: Tokens of a text that are read, as in AEPO's code; what comes behind them does
            not count. A model with fewer positions reads these.
        batch_size: Texts per forward pass; fewer of long ones on a CPU, which is faster with 1,024
            tokens at a time.
        device: "cpu", "cuda", …; "auto": what sentence-transformers chooses, a GPU if there is one.

    Raises:
        ConfigError: The encoder cannot be loaded.
        MissingExtraError: The packaged encoder is not installed.
    """
    encoder = load_encoder(model, device, max_length)
    tokens = _TOKENS if encoder.device.type == "cpu" else None
    vectors, order = [], []
    for batch in batches(texts, batch_size, max_length, tokens):
        vectors.append(
            encoder.encode(
                [texts[i] for i in batch],
                batch_size=batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        )
        order += batch
        report_progress(len(order), len(texts))
    return np.concatenate(vectors)[np.argsort(order)].astype(np.float32)


def batches(
    texts: Sequence[str], most: int, max_length: int, tokens: int | None = None
) -> Iterator[list[int]]:
    """Put texts of like length together, so that little of a batch is padding.

    Args:
        texts: The texts.
        most: Texts of a batch.
        max_length: Tokens that are read of a text.
        tokens: Of a batch, about, its padding among them; None: as many as there are.

    Yields:
        Indices of the texts of a batch, the longest texts first.
    """
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    start = 0
    while start < len(order):
        longest = min(len(texts[order[start]]) // _CHARACTERS + 1, max_length)
        size = min(most, max(1, tokens // longest)) if tokens else most
        yield order[start : start + size]
        start += size


def check_embed(*, model: str, max_length: int) -> Iterator[str]:
    """See whether the encoder is there, and can read that much.

    Raises:
        ConfigError: It is not, and a hub id has no such form.
    """
    yield from check_encoder(model)
    positions = encoder_positions(model)
    if positions is not None and positions < max_length:
        yield (
            f"params.max_length is {max_length}, and {model} has {positions} positions: it reads "
            f"the first {positions} tokens of a text. Set it to {positions}, or name another "
            "encoder."
        )


def count_unread(texts: Sequence[str], *, model: str, max_length: int) -> tuple[int, int] | None:
    """Count the texts whose end is not read.

    Args:
        texts: The texts to embed.
        model: As `embed` takes it.
        max_length: Likewise.

    Returns:
        (how many of them, tokens that are read of each); None where the encoder's `tokenizer.json`
        is not on this machine, as of one that the hub has.
    """
    read = min(max_length, encoder_positions(model) or max_length)
    # No token is shorter than a byte, but for the marks at both ends.
    long = [text for text in texts if len(text.encode()) > read - _MARKS]
    file = encoder_tokenizer(model)
    if not long or file is None:
        return None if file is None else (0, read)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return sum(len(each.ids) > read for each in tokenizer.encode_batch_fast(long)), read
