"""The packaged sentence encoder all-MiniLM-L6-v2 (Wang et al., arXiv:2002.10957), by torch alone.

Its vectors are those of sentence-transformers for one text at a time on one thread, bit for bit on
the CPU that was tried. In a batch texts lie end to end, without padding, and attention takes those
of one length together: the bits stay, but for texts of two or three tokens. To import transformers
takes longer than to load the model, and than to embed some hundred responses.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from prefopt_core.models.encoder import PACKAGED_POSITIONS, packaged_folder

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 1024  # texts that are cut into tokens: all of a large table would fill memory
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12  # of its config.json


class MeanOfTokens:
    """An encoder whose vectors are the mean of its tokens' vectors, at unit length."""

    def __init__(self, weights: "dict[str, Tensor]", tokenizer: Any) -> None:
        self._weights = weights
        self._tokenizer = tokenizer
        self._device = weights["embeddings.word_embeddings.weight"].device

    @property
    def on_cpu(self) -> bool:
        """Whether it runs on the CPU."""
        return self._device.type == "cpu"

    def read(self, texts: Sequence[str], max_length: int) -> list[npt.NDArray[np.int32]]:
        """The token ids of each text, at most `max_length`, and as many as there are positions."""
        self._tokenizer.enable_truncation(min(max_length, PACKAGED_POSITIONS))
        return [
            np.array(read.ids, np.int32)
            for start in range(0, len(texts), _AT_ONCE)
            for read in self._tokenizer.encode_batch_fast(list(texts[start : start + _AT_ONCE]))
        ]

    def encode(self, ids: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.float32]:
        """Compute the vectors of texts in one forward pass.

        Args:
            ids: Token ids of each text; texts of one length that follow each other cost less.

        Returns:
            (n, 384), each of unit length.
        """
        import torch

        with torch.inference_mode():
            runs = list(_runs(ids))
            x = self._embedded(ids)
            for layer in range(_LAYERS):
                x = self._layer(x, f"encoder.layer.{layer}", runs)
            means = [x[run].view(-1, n, x.shape[1]).sum(1) / n for run, n in runs]
            unit = torch.nn.functional.normalize
            # Twice, as sentence-transformers does when asked for unit length: the same bits.
            vectors: npt.NDArray[np.float32] = unit(unit(torch.cat(means))).cpu().numpy()
        return vectors

    def _embedded(self, ids: Sequence[npt.NDArray[np.int32]]) -> "Tensor":
        import torch

        words, kinds, places = (
            self._weights[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "token_type", "position")
        )
        tokens = torch.from_numpy(np.concatenate(ids)).to(self._device)
        positions = torch.from_numpy(np.concatenate([np.arange(len(text)) for text in ids]))
        x = words[tokens] + kinds[0] + places[positions.to(self._device)]
        return self._norm(x, "embeddings.LayerNorm")

    def _layer(self, x: "Tensor", at: str, runs: "list[tuple[slice, int]]") -> "Tensor":
        """One layer of BERT for (tokens, 384) of texts end to end; in place where it can be."""
        import torch

        parts = [self._linear(x, f"{at}.attention.self.{p}") for p in ("query", "key", "value")]
        seen = torch.cat([_attention([part[run] for part in parts], n) for run, n in runs])
        x = self._linear(seen, f"{at}.attention.output.dense").add_(x)
        x = self._norm(x, f"{at}.attention.output.LayerNorm")
        inner = torch.ops.aten.gelu_(self._linear(x, f"{at}.intermediate.dense"))
        x = self._linear(inner, f"{at}.output.dense").add_(x)
        return self._norm(x, f"{at}.output.LayerNorm")

    def _linear(self, x: "Tensor", at: str) -> "Tensor":
        import torch

        weights = self._weights
        return torch.nn.functional.linear(x, weights[f"{at}.weight"], weights[f"{at}.bias"])

    def _norm(self, x: "Tensor", at: str) -> "Tensor":
        import torch

        scale, shift = self._weights[f"{at}.weight"], self._weights[f"{at}.bias"]
        return torch.nn.functional.layer_norm(x, list(scale.shape), scale, shift, _EPSILON)


def _runs(ids: Sequence[npt.NDArray[np.int32]]) -> Iterator[tuple[slice, int]]:
    """(where their tokens are, tokens of each) of texts of one length that follow each other."""
    start = 0
    for length, texts in groupby(map(len, ids)):
        end = start + length * len(list(texts))
        yield slice(start, end), length
        start = end


def _attention(parts: "Sequence[Tensor]", length: int) -> "Tensor":
    """What texts of so many tokens see of themselves, by their query, key, value: (tokens, 384)."""
    import torch

    tokens, width = parts[0].shape
    heads = -1, length, _HEADS, width // _HEADS
    q, k, v = (part.view(heads).transpose(1, 2) for part in parts)
    seen = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    return seen.transpose(1, 2).reshape(tokens, width)


@lru_cache(maxsize=1)
def load_packaged(device: str) -> MeanOfTokens:
    """Load all-MiniLM-L6-v2; the last one stays loaded.

    Args:
        device: "cpu", "cuda", …; "auto": a GPU if there is one, else the CPU.

    Raises:
        MissingExtraError: It is not installed.
    """
    folder = packaged_folder()
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    if device == "auto":
        gpu = torch.accelerator.current_accelerator(check_available=True)
        device = gpu.type if gpu else "cpu"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return MeanOfTokens(load_file(folder / "model.safetensors", device), tokenizer)
