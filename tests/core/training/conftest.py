"""A tiny Llama with random weights, and preference pairs scored under it without our code."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 40
EOS, PAD = 1, 2


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    words = {w: i for i, w in enumerate(["<unk>", "<eos>", "<pad>"])}
    words |= {f"w{i}": i for i in range(len(words), VOCABULARY)}
    splitter = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    splitter.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=splitter,
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=EOS,
        bos_token_id=None,
        initializer_range=0.3,  # so that the model has opinions
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def response_logits(model, prompt, response):
    """(T, V) logits of one response's T tokens, from a pass over one sequence."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *response]])).logits[0].double().numpy()
    return logits[len(prompt) - 1 : -1]


def summed_logps(logits, response):
    logps = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return logps[np.arange(len(response)), response].sum()


@pytest.fixture(scope="session")
def oracle():
    """Log-probabilities the slow way."""
    return SimpleNamespace(logits=response_logits, logps=summed_logps)


@pytest.fixture(scope="session")
def make_pairs(start):
    model = LlamaForCausalLM.from_pretrained(start)

    def make(n, seed=0, source="self", finished=False):
        def logps(prompt, response):
            return summed_logps(response_logits(model, prompt, response), response)

        rng = np.random.default_rng(seed)
        rows = []
        for _ in range(n):
            prompt, chosen, rejected = (
                rng.integers(3, VOCABULARY, size=rng.integers(2, 8)).tolist() for _ in range(3)
            )
            chosen.append(EOS)
            if finished:
                rejected.append(EOS)
            rows.append(
                {
                    "prompt_token_ids": prompt,
                    "chosen_token_ids": chosen,
                    "rejected_token_ids": rejected,
                    "ref_chosen_logps": logps(prompt, chosen),
                    "ref_rejected_logps": logps(prompt, rejected),
                    "source": source,
                    "confidence": 1.0,
                }
            )
        return pl.DataFrame(rows)

    return make


DIES = """
import os, signal, sys
import torch
from prefopt_core.ground.progress import listening
from prefopt_core.training import resume, worker

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

moment, number = sys.argv[2], int(sys.argv[3])
if moment == "save":
    resume._mark = lambda folder, mark=resume._mark: (
        die() if folder.name == f"checkpoint-{number}" else mark(folder)
    )
with listening(lambda done, _: die() if (moment, number) == ("step", done) else None):
    worker.main(sys.argv[1])
"""


@pytest.fixture(scope="session")
def killed():
    """Work on a training in a process that dies at a step, or while a checkpoint is saved."""

    def killed(job, moment, number):
        child = subprocess.run(
            [sys.executable, "-c", DIES, str(job), moment, str(number)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert child.returncode == -signal.SIGKILL, child.stderr

    return killed
