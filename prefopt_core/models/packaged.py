"""The packaged sentence encoder, by transformers alone.

Its vectors are those of sentence-transformers. To import that takes longer than to load the model,
and than to embed some hundred responses: it brings SciPy, pandas, scikit-learn and datasets along.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from prefopt_core.models.encoder import PACKAGED_POSITIONS, packaged_folder
from prefopt_core.models.loading import load_weights

_AT_ONCE = 1024  # texts of which tokens are counted: all of a large table would fill memory


class MeanOfTokens:
    """An encoder whose vectors are the mean of its tokens' vectors, at unit length."""

    def __init__(self, model: Any, tokenizer: Any, max_length: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._limit = {"truncation": True, "max_length": min(max_length, PACKAGED_POSITIONS)}

    @property
    def on_cpu(self) -> bool:
        """Whether it runs on the CPU."""
        return str(self._model.device) == "cpu"

    def lengths(self, texts: Sequence[str]) -> Iterator[int]:
        """Tokens that are read of each text."""
        for start in range(0, len(texts), _AT_ONCE):
            some = self._tokenizer(list(texts[start : start + _AT_ONCE]), **self._limit)
            yield from map(len, some["input_ids"])

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, d) vectors of unit length, in one forward pass."""
        import torch

        read = self._tokenizer(list(texts), padding=True, return_tensors="pt", **self._limit)
        read = read.to(self._model.device)
        with torch.inference_mode():
            tokens = self._model(**read).last_hidden_state
            mask = read["attention_mask"].unsqueeze(-1).to(tokens.dtype)
            mean = (tokens * mask).sum(1) / mask.sum(1)
            unit = torch.nn.functional.normalize
            # Twice, as sentence-transformers does when asked for unit length: the same bits.
            vectors: npt.NDArray[np.float32] = unit(unit(mean)).float().cpu().numpy()
        return vectors


@lru_cache(maxsize=1)
def load_packaged(device: str, max_length: int) -> MeanOfTokens:
    """Load all-MiniLM-L6-v2; the last one stays loaded.

    Args:
        device: "cpu", "cuda", …; "auto": a GPU if there is one, else the CPU.
        max_length: Tokens of a text that it reads, at most as many as it has positions.

    Raises:
        MissingExtraError: It is not installed.
    """
    folder = str(packaged_folder())
    import torch
    from transformers import AutoModel, AutoTokenizer

    if device == "auto":
        gpu = torch.accelerator.current_accelerator(check_available=True)
        device = gpu.type if gpu else "cpu"
    model = load_weights(AutoModel, folder).to(device)
    return MeanOfTokens(model, AutoTokenizer.from_pretrained(folder), max_length)
