"""Log-probabilities by vLLM and by transformers, of the same token ids.

Stated tolerance: 1e-3 nats a sequence in float32; in bfloat16 0.05 nats a token, which is what
rounding to it changes anyway.
"""

import shutil

import numpy as np
import pytest
import torch

from prefopt_core.ground.errors import DataError
from prefopt_core.models.vllm.settings import EngineSettings
from prefopt_core.scoring import SCORERS


@pytest.fixture(scope="session")
def sequences(written):
    """128 (prompt, response) token ids, and their lengths, in the order of a shuffled deck."""
    every = [(list(r.prompt_token_ids), list(r.token_ids)) for row in written for r in row]
    return [every[i] for i in np.random.default_rng(0).permutation(len(every))]


def score_with(model, sequences):
    eager = EngineSettings(enforce_eager=True, max_num_seqs=64)
    return SCORERS["vllm"](model, sequences, engine=eager)


def test_float32_agrees_with_transformers(model, sequences):
    prompt, response = sequences[0]
    longest = (prompt, (response * 20)[: 256 - len(prompt)])  # as long as the model takes
    every = [*sequences, longest, (prompt, response[:1])]
    with pytest.raises(DataError, match=r"of 257 tokens do not fit the 256 .*max_model_len"):
        score_with(model, [(prompt, [*longest[1], 5])])
    found = score_with(model, every)
    assert found == pytest.approx(SCORERS["transformers"](model, every), abs=1e-3)


def test_bfloat16_agrees_with_transformers(model, sequences, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = shutil.copytree(model, tmp_path / "bfloat16")
    AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).save_pretrained(folder)
    lengths = np.array([len(response) for _, response in sequences])
    rounded = SCORERS["transformers"](folder, sequences)
    found = score_with(folder, sequences)
    assert np.abs(found - rounded).max() > 1e-3  # the engine did not quietly use float32
    assert (np.abs(found - rounded) / lengths).max() < 0.05
    assert np.mean(found - rounded) == pytest.approx(0, abs=0.05)
