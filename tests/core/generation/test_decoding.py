"""Rows that have ended leave the batch; nobody else's response changes."""

import numpy as np
import pytest

from prefopt_core.generation import decoding, transformers_local
from prefopt_core.generation.decoding import decode
from prefopt_core.models import load_model

PROMPTS = [[5, 40, 41, 6], [5, 50, 6], [5, 60, 61, 62, 63, 64, 6]] * 8
SAMPLING = transformers_local._Sampling(1.0, 1.0, 0, 0.0, 20)


@pytest.fixture
def decoded(tiny_model, tiny_tokenizer, monkeypatch):
    """Decode 24 prompts, looking every so many steps; also counts rows × steps."""
    network = load_model(tiny_model)
    uniforms = np.random.default_rng(0).random((len(PROMPTS), 20))

    def decoded(stride):
        monkeypatch.setattr(decoding, "STRIDE", stride)
        work = []

        def chain(numbers, width):
            work.append(numbers.size)
            return transformers_local._processors(SAMPLING, numbers, width)

        ends = {tiny_tokenizer.eos_token_id, *range(100, 115)}  # so that many rows end early
        found = decode(network, PROMPTS, uniforms, chain, ends=ends, pad=2)
        return found, sum(work)

    return decoded


@pytest.mark.parametrize("stride", [1, 3, 7])
def test_how_often_rows_are_dropped_changes_work_and_no_response(decoded, stride):
    (whole, all_work), (found, work) = decoded(20), decoded(stride)
    assert len({len(ids) for ids, _ in whole}) > 3
    assert [ids for ids, _ in found] == [ids for ids, _ in whole]
    assert [logps for _, logps in found] == pytest.approx([s for _, s in whole], abs=1e-4)
    assert work < all_work == len(PROMPTS) * 20


def test_cache_that_lets_no_row_go_keeps_them_all(decoded, monkeypatch):
    whole, all_work = decoded(20)
    monkeypatch.setattr(decoding, "_selects", lambda cache: False)
    found, work = decoded(3)
    assert [ids for ids, _ in found] == [ids for ids, _ in whole]
    assert work == all_work
