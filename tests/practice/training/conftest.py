"""Tiny models of many kinds with random weights, pairs scored under them, and trainings."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from prefopt_core.training import trl_dpo
from prefopt_core.training.fidelity import SAVED_METRICS
from prefopt_core.training.settings import TrainingConfig

WORDS, EOS = 40, 1


@pytest.fixture(scope="session")
def write_tokenizer():
    """Write a tokenizer of whole words, <unk> <eos> <pad> w3 w4 …, into a folder."""

    def write(folder, words=WORDS, **special):
        ids = {w: i for i, w in enumerate(["<unk>", "<eos>", "<pad>"])}
        ids |= {f"w{i}": i for i in range(len(ids), words)}
        splitter = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
        splitter.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        named = {"eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"} | special
        template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
        PreTrainedTokenizerFast(
            tokenizer_object=splitter, chat_template=template, **named
        ).save_pretrained(folder)

    return write


@pytest.fixture
def make_model(tmp_path, write_tokenizer):
    """A model folder of any architecture, two layers of width 32."""

    def make(kind="llama", dtype=torch.float32, name="start", tokenizer=None, **settings):
        torch.manual_seed(0)
        common = {
            "vocab_size": WORDS,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "initializer_range": 0.3,  # so that the model has opinions
            "eos_token_id": EOS,
            "bos_token_id": None,
            "pad_token_id": None,
        }
        config = AutoConfig.for_model(kind, **common | settings)
        folder = tmp_path / name
        AutoModelForCausalLM.from_config(config).to(dtype).save_pretrained(folder)
        write_tokenizer(folder, **tokenizer or {})
        return folder

    return make


@pytest.fixture(scope="session")
def logps_of():
    """(n, 2) log-probabilities of the responses of pairs under a folder, without our code."""

    def one(model, prompt, response):
        with torch.no_grad():
            logps = model(torch.tensor([[*prompt, *response]])).logits[0].float().log_softmax(-1)
        return float(logps[range(len(prompt) - 1, len(prompt) + len(response) - 1), response].sum())

    def logps_of(folder, pairs):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").float()
        rows = pairs.iter_rows(named=True)
        sides = ("chosen_token_ids", "rejected_token_ids")
        return np.array([[one(model, r["prompt_token_ids"], r[s]) for s in sides] for r in rows])

    return logps_of


@pytest.fixture(scope="session")
def make_pairs(logps_of):
    """`n` pairs of random words, scored under the model in a folder."""

    def make(folder, n=12, lengths=(2, 8)):
        rng = np.random.default_rng(0)
        texts = [
            [rng.integers(3, WORDS, rng.integers(*lengths)).tolist() for _ in range(3)]
            for _ in range(n)
        ]
        columns = ("prompt_token_ids", "chosen_token_ids", "rejected_token_ids")
        rows = [
            dict(
                zip(columns, (p, [*c, EOS], [*r, EOS]), strict=True), source="gold", confidence=1.0
            )
            for p, c, r in texts
        ]
        pairs = pl.DataFrame(rows)
        logps = logps_of(folder, pairs)
        return pairs.with_columns(ref_chosen_logps=logps[:, 0], ref_rejected_logps=logps[:, 1])

    return make


@pytest.fixture
def train(tmp_path):
    """Train; the new folder, the log by step, and the margins of its last row."""

    def train(start, pairs, **settings):
        common = {"learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 2, "epochs": 3.0}
        config = TrainingConfig(**common | settings)
        number = sum(1 for _ in tmp_path.glob("trained-*"))  # each has its own checkpoints
        out, work = tmp_path / f"trained-{number}", tmp_path / f"work-{number}"
        steps = trl_dpo.train(pairs, start, out, work, config, seed=3).steps
        trained, saved = steps.tail(1).select(SAVED_METRICS).row(0)
        return SimpleNamespace(folder=out, steps=steps, trained=trained, saved=saved)

    return train


@pytest.fixture
def margin_of(logps_of):
    """The mean margin of pairs under a folder against those under another, in float32."""

    def margin_of(folder, start, pairs, beta=0.1):
        moved = logps_of(folder, pairs) - logps_of(start, pairs)
        return beta * (moved[:, 0] - moved[:, 1]).mean()

    return margin_of
