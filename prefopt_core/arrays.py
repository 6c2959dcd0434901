"""Array types, and functions for NumPy arrays and PyTorch tensors alike: log σ, σ, label_logps.

NumPy in, NumPy out; tensors in, tensors out, with their gradients. PyTorch is imported only when a
tensor comes in.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.floating[Any]]
IndexArray = npt.NDArray[np.intp]

Array = TypeVar("Array", npt.NDArray[Any], "torch.Tensor")
Real = TypeVar("Real", float, npt.NDArray[Any], "torch.Tensor")


def log_sigmoid(x: Real) -> Real:
    """The logarithm of σ(x); it neither overflows nor becomes log 0."""
    if isinstance(x, float | np.ndarray):
        return -np.logaddexp(0.0, -x)
    import torch

    return torch.nn.functional.logsigmoid(x)


def sigmoid(x: Real) -> Real:
    """σ(x) = 1 / (1 + e⁻ˣ), for any finite x."""
    if isinstance(x, float | np.ndarray):
        return np.exp(log_sigmoid(x))
    return x.sigmoid()


def label_logps(logits: Array, labels: Array) -> Array:
    """Log-probability of one label per row.

    Args:
        logits: (T, V), unnormalised.
        labels: (T,), integers in [0, V).

    Returns:
        (T,): logits[t, labels[t]] - log Σ_v exp(logits[t, v]), in nats.
    """
    if isinstance(logits, np.ndarray):
        chosen = np.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
        return chosen - np.logaddexp.reduce(logits, axis=-1)
    return logits.gather(-1, labels[:, None])[:, 0] - logits.logsumexp(-1)
