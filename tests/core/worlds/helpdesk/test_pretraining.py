"""The tiny model: usable as any other, the same bytes for the same seed, also after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from prefopt_core.ground.files import content_digest
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids
from prefopt_core.worlds.helpdesk.grammar import PERSONAS, draw_facts, write_prompt, write_response
from prefopt_core.worlds.helpdesk.pretraining import _dialogue, pretrain

SMALL = {"steps": 8, "batch_size": 8, "hidden_size": 32, "layers": 1, "vocabulary": 400}
DIES = """
import os, signal, sys
from pathlib import Path
from prefopt_core.worlds.helpdesk import pretraining
from prefopt_core.ground.progress import listening
pretraining.SAVE_EVERY = 3
die = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == int(sys.argv[3]) else None
with listening(die):
    pretraining.pretrain(Path(sys.argv[1]), Path(sys.argv[2]), 0, **eval(sys.argv[4]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    pretrain(folder / "model", folder / "work", 0, **SMALL)
    return folder / "model"


def test_the_model_loads_and_its_template_has_one_turn_each(model):
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(model)
    network = AutoModelForCausalLM.from_pretrained(model)
    assert network.config.vocab_size == len(tokenizer)
    assert (
        tokenizer.pad_token_id != tokenizer.eos_token_id == network.generation_config.eos_token_id
    )
    ids = prompt_token_ids(tokenizer, [{"role": "user", "content": "my lamp is late."}])
    assert tokenizer.decode(ids) == "<|user|>my lamp is late.<|assistant|>"
    assert not [p for p in model.iterdir() if p.suffix in (".bin", ".pt", ".pkl")]


def test_a_dialogue_is_its_prompt_then_the_response_and_one_end(model):
    tokenizer = load_tokenizer(model)
    asked = [{"role": "user", "content": "my lamp is late."}]
    answered = [*asked, {"role": "assistant", "content": "Please wait."}]
    whole = tokenizer.apply_chat_template(answered, return_dict=False)
    response = whole[len(prompt_token_ids(tokenizer, asked)) :]
    assert whole[: -len(response)] == prompt_token_ids(tokenizer, asked)
    assert tokenizer.decode(response) == "Please wait.<|end|>"
    assert response.count(tokenizer.eos_token_id) == 1


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(model, tmp_path):
    pretrain(tmp_path / "again", tmp_path / "work", 0, **SMALL)
    pretrain(tmp_path / "other", tmp_path / "work-2", 1, **SMALL)
    assert content_digest(tmp_path / "again") == content_digest(model)
    assert content_digest(tmp_path / "other") != content_digest(model)


def test_the_usual_share_of_stars_gives_the_dialogues_there_were_without_the_setting():
    for seed in range(200):
        rng, before = Random(seed), Random(seed)
        facts = draw_facts(before)
        expected = write_prompt(facts, before), write_response(facts, before)
        assert _dialogue(rng, PERSONAS["star"].share) == expected


def test_another_share_of_stars_gives_another_model(model, tmp_path):
    for name, stars in (("usual", PERSONAS["star"].share), ("few", 0.01)):
        pretrain(tmp_path / name, tmp_path / f"work-{name}", 0, **SMALL, stars=stars)
    assert content_digest(tmp_path / "usual") == content_digest(model)
    assert content_digest(tmp_path / "few") != content_digest(model)


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bytes(model, tmp_path, monkeypatch):
    monkeypatch.setattr("prefopt_core.worlds.helpdesk.pretraining.SAVE_EVERY", 3)
    out, work = tmp_path / "model", tmp_path / "work"
    child = subprocess.run(
        [sys.executable, "-c", DIES, str(out), str(work), "5", repr(SMALL)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[4],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert (work / "checkpoint-3").is_dir()
    pretrain(out, work, 0, **SMALL)
    assert content_digest(out) == content_digest(model)
