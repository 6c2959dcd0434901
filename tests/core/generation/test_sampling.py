"""One step of sampling, against arithmetic: which token each uniform number picks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prefopt_core.generation.sampling import InverseCdfSampler, LogpsRecorder

logits = arrays(np.float32, 6, elements=st.floats(-20, 20, width=32))


def picks(scores, uniforms):
    """The token each uniform number picks from one row of logits, and what was recorded."""
    rows = torch.tensor(scores).repeat(len(uniforms), 1)
    recorder = LogpsRecorder()
    sampler = InverseCdfSampler(np.asarray(uniforms)[:, None], recorder, prompt_length=1)
    ids = torch.zeros((len(rows), 1), dtype=torch.long)
    chosen = sampler(ids, recorder(ids, rows))
    return chosen.argmax(-1).numpy(), sampler.token_logps[0].numpy()


@given(logits)
def test_even_numbers_pick_each_token_as_often_as_softmax_says(scores):
    n = 2000
    tokens, _ = picks(scores, (np.arange(n) + 0.5) / n)
    expected = n * torch.tensor(scores).double().softmax(-1).numpy()
    assert np.bincount(tokens, minlength=6) == pytest.approx(expected, abs=1.01)


@given(logits, st.floats(0, 1, exclude_max=True))
def test_recorded_logps_are_those_of_the_pick(scores, uniform):
    tokens, logps = picks(scores, [uniform])
    expected = torch.tensor(scores).double().log_softmax(-1)[tokens[0]]
    assert logps[0] == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("uniform", [0.0, 0.5, np.nextafter(1, 0)])
def test_token_of_probability_zero_is_never_picked(uniform):
    scores = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf], dtype=np.float32)
    assert picks(scores, [uniform])[0][0] in (1, 3)


def test_rows_are_picked_alike_in_any_batch():
    rng = np.random.default_rng(0)
    scores, uniforms = rng.normal(size=5).astype(np.float32), rng.random(20)
    together, _ = picks(scores, uniforms)
    assert together.tolist() == [picks(scores, [uniform])[0][0] for uniform in uniforms]
