"""Llamas of known shapes with random weights, and pairs of random tokens that they scored."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from prefopt_core.training.checks import IDS, LOGPS
from prefopt_core.training.fidelity import pair_logps

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"vocab_size": 97, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
             "num_attention_heads": 2, "initializer_range": 0.3},
    "135M": {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
             "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3},
    "1.2B": {"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192,
             "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8},
}  # fmt: skip
"""The shapes of SmolLM2-135M and of Llama 3.2 1B, and one for tests."""


def model_folder(shape: str, folder: Path) -> Path:
    """A Llama of random weights and a tokenizer of as many words, in a folder."""
    settings = SHAPES[shape]
    words = {w: i for i, w in enumerate(["<unk>", "<eos>", "<pad>"])}
    words |= {f"w{i}": i for i in range(len(words), settings["vocab_size"])}
    splitter = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    splitter.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=splitter,
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        tie_word_embeddings=shape != "tiny", eos_token_id=1, bos_token_id=None, **settings
    )
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config)
    model.to(torch.float32 if shape == "tiny" else torch.bfloat16).save_pretrained(folder)
    return folder


def pairs_of(start: Path, count: int, vocabulary: int, lengths: tuple[int, int]) -> pl.DataFrame:
    """Pairs of random tokens, scored under the model in `start` in float32."""
    rng = np.random.default_rng(0)
    rows = [
        {name: rng.integers(3, vocabulary, rng.integers(*lengths)).tolist() for name in IDS}
        for _ in range(count)
    ]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = LlamaForCausalLM.from_pretrained(start, dtype="auto")
    table = pl.DataFrame(rows)
    logps = pair_logps(model, table, device)
    scored = [pl.Series(name, logps[:, i]) for i, name in enumerate(LOGPS)]
    return table.with_columns(*scored, source=pl.lit("self"), confidence=pl.lit(1.0))
