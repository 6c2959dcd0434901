"""Embedder `sentence-transformers`: all-MiniLM-L6-v2 as in AEPO's code, or another encoder."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.registry import InputPath, SpeedOnly
from prefopt_core.models.encoder import PACKAGED, check_encoder, load_encoder

_BATCHES = 4  # between two calls of the progress callback


def embed(
    texts: Sequence[str],
    *,
    model: InputPath = PACKAGED,
    batch_size: SpeedOnly[PositiveInt] = 32,
    device: SpeedOnly[str] = "auto",
) -> npt.NDArray[np.float32]:
    """Encode with sentence-transformers: the packaged all-MiniLM-L6-v2, a folder, or a hub id.

    Args:
        texts: The texts to embed.
        model: A folder, a hub id, or all-MiniLM-L6-v2, AEPO's encoder, from the extra `minilm`.
        batch_size: Texts per forward pass.
        device: "cpu", "cuda", …; "auto": what sentence-transformers chooses, a GPU if there is one.

    Raises:
        ConfigError: The encoder cannot be loaded.
        MissingExtraError: The packaged encoder is not installed.
    """
    encoder = load_encoder(model, device)
    vectors = []
    # Longest first, as the library sorts within a call: equal lengths share a batch, no padding.
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    step = _BATCHES * batch_size
    for start in range(0, len(order), step):
        chunk = [texts[i] for i in order[start : start + step]]
        vectors.append(
            encoder.encode(
                chunk, batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
            )
        )
        report_progress(min(start + step, len(order)), len(order))
    return np.concatenate(vectors)[np.argsort(order)].astype(np.float32)


def check_embed(*, model: str) -> Iterator[str]:
    """See whether the encoder is there.

    Raises:
        ConfigError: It is not, and a hub id has no such form.
    """
    yield from check_encoder(model)
