import pytest
from transformers import AutoConfig

from prefopt_core.models.positions import positions_of

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
LINEAR, DYNAMIC = ({"type": kind, "factor": 2.0} for kind in ("linear", "dynamic"))
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "original_max_position_embeddings": 8192,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}


@pytest.mark.parametrize(
    ("kind", "settings", "positions"),
    [
        ("llama", {"max_position_embeddings": 512}, 512),
        ("llama", {"max_position_embeddings": 100, "rope_scaling": LINEAR}, 200),
        ("llama", {"max_position_embeddings": 100, "rope_scaling": DYNAMIC}, 200),
        ("llama", {"max_position_embeddings": 131072, "rope_scaling": LLAMA3}, 131072),
        ("qwen2", {"max_position_embeddings": 32768, "rope_scaling": YARN}, 131072),
        ("qwen2", {"max_position_embeddings": 131072, "rope_scaling": YARN}, 131072),
        ("mistral", {"max_position_embeddings": 512, "sliding_window": 16}, 512),
        ("gpt2", {"n_positions": 64}, 64),
        ("gptj", {"n_positions": 64}, 64),
        ("gpt_bigcode", {"n_positions": 64}, 64),
        ("gpt_neo", {"max_position_embeddings": 64}, 64),
        ("gpt_neox", {"max_position_embeddings": 64}, 64),
        ("opt", {"max_position_embeddings": 64}, 64),  # two more rows of its table are padding
        ("mpt", {"max_seq_len": 64, "attn_config": {"alibi": False}}, 64),
        ("mpt", {"max_seq_len": 64}, None),
        ("falcon", {"max_position_embeddings": 64}, 64),
        ("falcon", {"max_position_embeddings": 64, "alibi": True}, None),
        ("bloom", {"seq_length": 64}, None),
        ("t5", {"n_positions": 64}, None),
        ("mamba", {}, None),
        ("roberta", {"max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ("deberta-v2", {"position_biased_input": False}, None),
        ("gemma3", {"text_config": {"max_position_embeddings": 64}}, 64),
    ],
)  # fmt: skip
def test_what_a_model_can_read(kind, settings, positions):
    assert positions_of(AutoConfig.for_model(kind, **settings)) == positions
