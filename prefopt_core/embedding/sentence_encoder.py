"""Embedder `sentence-transformers`: all-MiniLM-L6-v2 as in AEPO's code, or another encoder."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

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
from prefopt_core.models.packaged import load_packaged
from prefopt_core.models.threads import cores, on_all_cores

_MARKS = 4
_CHARACTERS = 4  # of a token, about
_TOKENS = 2048
"""Of a batch on a CPU: what lies between two matrix products stays in its caches."""


def embed(
    texts: Sequence[str],
    *,
    model: InputPath = PACKAGED,
    max_length: PositiveInt = 512,
    batch_size: SpeedOnly[PositiveInt] = 32,
    device: SpeedOnly[str] = "auto",
) -> npt.NDArray[np.float32]:
    """Encode with the packaged all-MiniLM-L6-v2, or with a folder or hub id's sentence-transformer.

    Args:
        texts: The texts to embed.
        model: A folder, a hub id, or all-MiniLM-L6-v2, AEPO's encoder, from the extra `minilm`.
        max_length: Tokens of a text that are read, as in AEPO's code; what comes behind them does
            not count. A model with fewer positions reads these.
        batch_size: Texts per forward pass on a GPU; a CPU takes 2,048 tokens at a time, which is
            faster, on each core those of another batch.
        device: "cpu", "cuda", …; "auto": a GPU if there is one, else the CPU.

    Raises:
        ConfigError: The encoder cannot be loaded.
        MissingExtraError: The packaged encoder is not installed.
    """
    made: Iterable[npt.NDArray[np.float32]]
    if model == PACKAGED:
        packaged = load_packaged(device)
        read = packaged.read(texts, max_length)
        parts = _parts(list(map(len, read)), batch_size, on_cpu=packaged.on_cpu)
        jobs = ([read[i] for i in part] for part in parts)
        encode = packaged.encode
        made = on_all_cores(encode, jobs) if packaged.on_cpu else map(encode, jobs)
    else:
        encoder = load_encoder(model, device, max_length)
        lengths = [min(len(text) // _CHARACTERS + 1, max_length) for text in texts]
        most = _TOKENS if encoder.device.type == "cpu" else None
        parts = list(batches(lengths, batch_size, most))
        encoded = partial(encoder.encode, normalize_embeddings=True, show_progress_bar=False)
        made = (encoded([texts[i] for i in part], batch_size=len(part)) for part in parts)
    vectors, order = [], []
    for part, some in zip(parts, made, strict=True):
        vectors.append(some)
        order += part
        report_progress(len(order), len(texts))
    return np.concatenate(vectors)[np.argsort(order)].astype(np.float32)


def _parts(lengths: Sequence[int], batch_size: int, *, on_cpu: bool) -> list[list[int]]:
    """The batches for this place; on a CPU at least one for each core."""
    if not on_cpu:
        return list(batches(lengths, batch_size))
    return list(batches(lengths, len(lengths), min(_TOKENS, sum(lengths) // cores() + 1)))


def batches(lengths: Sequence[int], most: int, tokens: int | None = None) -> Iterator[list[int]]:
    """Put texts of like length together, so that little of a batch is padding.

    Args:
        lengths: Tokens of each text, at least 1.
        most: Texts of a batch.
        tokens: Of a batch, its padding among them, or of the one text that has more; None: as many
            as there are.

    Yields:
        Indices of the texts of a batch, the longest texts first.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
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
