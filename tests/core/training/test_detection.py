"""Noise detection in tiles: what it computes without ever holding all logits."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.noise import extrapolated_logps
from prefopt_core.training.detection import tiled_logps


class Head(torch.nn.Linear):
    """An output layer that remembers the most logits it made at once."""

    most = 0

    def forward(self, hidden):
        logits = super().forward(hidden)
        self.most = max(self.most, logits.numel())
        return logits


@given(
    tokens=st.integers(1, 40),
    vocabulary=st.integers(2, 60),
    tile=st.integers(1, 2000),
    lam=st.sampled_from([0.0, 0.125, 0.5, 2.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_tiles_give_what_all_logits_at_once_give(tokens, vocabulary, tile, lam, seed):
    torch.manual_seed(seed)
    heads = Head(4, vocabulary), Head(4, vocabulary)
    policy, reference = torch.randn(tokens, 4) * 3, torch.randn(tokens, 4) * 3
    labels = torch.randint(vocabulary, (tokens,))
    with torch.no_grad():
        tiled = tiled_logps(policy, reference, labels, heads, lam, tile)
        most = heads[0].most
        logits = [h(x).double().numpy() for h, x in zip(heads, (policy, reference), strict=True)]
    whole = extrapolated_logps(*logits, labels.numpy(), lam)
    assert tiled.numpy() == pytest.approx(whole, abs=1e-4)
    assert most <= max(tile, vocabulary)  # one token's logits at least
    assert np.isfinite(tiled.numpy()).all()
