"""Embedders: texts to vectors. One file each, and one line in `EMBEDDERS`."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.registry import Registry

Embedder = Callable[..., npt.NDArray[np.float32]]
"""`(texts, *, **params) -> (n, d)` vectors of unit length; `policy`: `(sequences, model, *, …)`."""

EMBEDDERS: Registry[Embedder] = Registry(
    "embedder",
    {
        "hashing": "prefopt_core.embedding.hashing:embed",
        "policy": "prefopt_core.embedding.policy:embed",
        "sentence-transformers": "prefopt_core.embedding.sentence_encoder:embed",
    },
    "prefopt.embedders",
)

__all__ = ["EMBEDDERS", "Embedder"]
