"""A tiny random reward model: one score per conversation, whatever shares its batch."""

import shutil

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

from prefopt_core.annotation.reward_model import annotate
from prefopt_core.ground.errors import ConfigError, DataError
from tests.verdicts import question, scores_of

ASKED = [
    ("How do I reset it?", "Press the button."),
    ("How do I reset it?", "Open the settings, choose account, then reset. Thank you!"),
    ("out of paper", "Load"),
    ("", "on"),
]


@pytest.fixture(scope="session")
def reward_model(tiny_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward_model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, pad_token_id=tiny_tokenizer.pad_token_id, num_labels=2,
        initializer_range=0.3,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(reward_model, tmp_path):
    """A copy of the reward model to change."""
    return shutil.copytree(reward_model, tmp_path / "rm")


@pytest.fixture
def scores():
    def scores(model, asked=ASKED, **params):
        questions = [question(*pair) for pair in asked]
        return scores_of(annotate(questions, model=str(model), device="cpu", **params))

    return scores


def slow_score(model, text, label=0):
    """One text as it is, one pass, no padding."""
    network = LlamaForSequenceClassification.from_pretrained(model)
    ids = AutoTokenizer.from_pretrained(model)(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        return float(network(torch.tensor([ids])).logits[0, label])


@pytest.mark.parametrize("label", [0, 1])
def test_conversation_goes_through_the_chat_template(reward_model, scores, label):
    texts = [f"<|user|>{prompt}<|assistant|>{response}</s>" for prompt, response in ASKED]
    expected = [slow_score(reward_model, text, label) for text in texts]
    assert scores(reward_model, label=label) == pytest.approx(expected, abs=1e-4)


def test_without_a_template_it_is_the_pair_of_texts(folder, scores):
    (folder / "chat_template.jinja").unlink()
    expected = [slow_score(folder, prompt + response) for prompt, response in ASKED]
    assert scores(folder) == pytest.approx(expected, abs=1e-4)


def test_without_a_template_no_turn_of_a_conversation_is_lost(folder, scores):
    (folder / "chat_template.jinja").unlink()
    turns = [{"role": "system", "content": "reset"}, {"role": "user", "content": "paper"}]
    (found,) = scores(folder, [(turns, "on")])
    assert found == pytest.approx(slow_score(folder, "reset\n\npaperon"), abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batches_and_order_do_not_matter_and_twice_is_the_same(reward_model, scores, batch_size):
    expected = scores(reward_model, batch_size=2)
    assert scores(reward_model, batch_size=2) == expected
    turned = scores(reward_model, ASKED[::-1], batch_size=batch_size)
    assert turned[::-1] == pytest.approx(expected, abs=1e-4)


def test_conversation_has_one_bos_though_template_and_tokenizer_ask_for_it(folder, scores):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bos = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos[0]} $A", pair=f"{bos[0]} $A $B", special_tokens=[bos]
    )
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    tokenizer.save_pretrained(folder)
    (found,) = scores(folder, [("paper", "on")])
    expected = slow_score(folder, "<s><|user|>paper<|assistant|>on</s>")
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_conversation_longer_than_the_model_reads_is_refused_not_cut(reward_model, scores):
    with pytest.raises(DataError, match=r"tokens and the reward model is to read 12.*max_length"):
        scores(reward_model, [("How do I reset it?", "paper " * 200)], max_length=12)


def test_a_model_that_pads_with_its_end_token_still_reads_the_end(reward_model, scores, tmp_path):
    # Padding and end are one token there: in a batch the last "</s>" would be taken for padding.
    folder = tmp_path / "pads-with-end"
    shutil.copytree(reward_model, folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace('"<pad>"', '"</s>"'))
    pairs = [
        ("How do I reset it?", "Open the settings."),
        ("Out of paper", "Load the tray, close it."),
    ]
    assert scores(folder, pairs) == pytest.approx(scores(reward_model, pairs), abs=1e-5)


DAMAGE = {
    "no weights": ("model.safetensors", None, r"Cannot load .*rm by AutoModelForSequenceClass"),
    "truncated": ("model.safetensors", "\x10", r"Cannot load .*weights that fit it"),
    "no tokenizer": ("tokenizer.json", None, r"rm has no tokenizer that can be loaded"),
    "no config": ("config.json", "{", r"rm has no tokenizer|Cannot load"),
}


@pytest.mark.parametrize(("name", "content", "message"), DAMAGE.values(), ids=DAMAGE)
def test_model_that_does_not_load_is_told(folder, scores, name, content, message):
    (folder / name).unlink()
    if content:
        (folder / name).write_text(content)
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        scores(folder)


def test_language_model_is_no_reward_model(tiny_model, scores):
    with pytest.raises(ConfigError, match=r"lacks 1 weights .*score\.weight; .*drawn at random"):
        scores(tiny_model)


def test_output_that_is_not_there_is_told(reward_model, scores):
    with pytest.raises(ConfigError, match=r"has 2 outputs, counted from 0; there is no output 2"):
        scores(reward_model, label=2)


def test_hub_model_that_cannot_be_reached_is_told(scores):
    with pytest.raises(ConfigError, match=r"nobody/nothing has no tokenizer"):
        scores("nobody/nothing")
