"""Sampling that does not depend on the batch: each (seed, prompt, sample) has its own draws."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


class LogpsRecorder(LogitsProcessor):
    """First logits processor: records log-probabilities before temperature and truncation."""

    def __init__(self) -> None:
        self.logps: torch.Tensor | None = None  # (batch, V) of the current step

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Record log-softmax of `scores` (batch, V) and return them unchanged."""
        self.logps = scores.float().log_softmax(-1)
        return scores


class InverseCdfSampler(LogitsProcessor):
    """Last logits processor: samples each token by inverse transform of its own uniform number.

    The sampled token keeps the only finite score, so greedy decoding takes it. A row's numbers come
    from (seed, prompt, sample), so it is sampled alike in any batch; only the rounding of logits
    can differ between batch shapes.

    Args:
        uniforms: (batch, max_new_tokens) in [0, 1).
        recorder: Has the log-probabilities of each step, before temperature and truncation.
        prompt_length: Columns of `input_ids` before the first new token.
    """

    def __init__(
        self, uniforms: npt.NDArray[np.float64], recorder: LogpsRecorder, prompt_length: int
    ) -> None:
        self._uniforms = torch.from_numpy(uniforms)
        self._recorder = recorder
        self._prompt_length = prompt_length
        self.token_logps: list[torch.Tensor] = []  # one (batch,) per step

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores (batch, V) of 0 for the sampled token and -∞ for all others."""
        step = input_ids.shape[1] - self._prompt_length
        cumulative = scores.double().softmax(-1).cumsum(-1)
        draw = self._uniforms[:, step, None].to(cumulative.device) * cumulative[:, -1:]
        # right=True never lands on a token of probability zero
        token = torch.searchsorted(cumulative, draw, right=True).clamp(max=scores.shape[-1] - 1)
        assert self._recorder.logps is not None
        self.token_logps.append(self._recorder.logps.gather(1, token)[:, 0].cpu())
        return torch.full_like(scores, -torch.inf).scatter(1, token, 0.0)


@dataclass(frozen=True)
class Sampling:
    """Sampling settings, by their usual names.

    Attributes:
        never: Ids that are not sampled.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    never: tuple[int, ...] = ()

    def processors(
        self, uniforms: npt.NDArray[np.float64], prompt_length: int
    ) -> tuple[LogitsProcessorList, InverseCdfSampler]:
        """The chain of logits processors, and its last one, which records `token_logps`."""
        recorder = LogpsRecorder()
        sampler = InverseCdfSampler(uniforms, recorder, prompt_length)
        warpers = [
            (bool(self.never), SuppressTokensLogitsProcessor, self.never),
            (self.temperature != 1.0, TemperatureLogitsWarper, self.temperature),
            (self.top_k > 0, TopKLogitsWarper, self.top_k),
            (self.top_p < 1.0, TopPLogitsWarper, self.top_p),
            (self.min_p > 0.0, MinPLogitsWarper, self.min_p),
        ]
        active = [warper(value) for wanted, warper, value in warpers if wanted]
        return LogitsProcessorList([recorder, *active, sampler]), sampler
