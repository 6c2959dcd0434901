"""A tiny random classifier that reads two responses at once."""

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.annotation.pair_ranker import annotate
from prefopt_core.ground.errors import ConfigError, DataError

LAYOUT = "on: {prompt} one: {first} two: {second}"
PAIRS = [
    ("How do I reset it?", "Press the button.", "Open the settings, choose account."),
    ("out of paper", "Load", "Thank you for the quick answer!"),
    ("", "on", "out"),
]


@pytest.fixture(scope="session")
def rankers(tiny_tokenizer, tmp_path_factory):
    """Number of outputs → folder."""

    def saved(outputs):
        folder = tmp_path_factory.mktemp("ranker")
        torch.manual_seed(outputs)
        config = LlamaConfig(
            vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=48,
            num_hidden_layers=2, num_attention_heads=2, num_labels=outputs,
            pad_token_id=tiny_tokenizer.pad_token_id, initializer_range=0.3,
        )  # fmt: skip
        LlamaForSequenceClassification(config).save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        return folder

    return {outputs: saved(outputs) for outputs in (1, 3)}


def slow(folder, pair):
    """All outputs for one pair, one pass, no padding."""
    network = LlamaForSequenceClassification.from_pretrained(folder)
    text = LAYOUT.format(prompt=pair[0], first=pair[1], second=pair[2])
    with torch.no_grad():
        return network(torch.tensor([AutoTokenizer.from_pretrained(folder)(text).input_ids])).logits


@pytest.fixture
def compare(question_about):
    def compare(folder, pairs=PAIRS, **params):
        asked = [question_about(*pair) for pair in pairs]
        params = {"layout": LAYOUT, "device": "cpu"} | params
        return list(annotate(asked, model=str(folder), **params))

    return compare


def test_one_output_is_the_logit_of_the_first(rankers, compare):
    verdicts = compare(rankers[1])
    expected = [torch.sigmoid(slow(rankers[1], pair))[0, 0].item() for pair in PAIRS]
    assert [v.preference for v in verdicts] == pytest.approx(expected, abs=1e-5)


def test_of_several_outputs_the_softmax_counts(rankers, compare):
    verdicts = compare(rankers[3], label=2, batch_size=2)
    expected = [torch.softmax(slow(rankers[3], pair), -1)[0, 2].item() for pair in PAIRS]
    assert [v.preference for v in verdicts] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("text", ["yes two: no", "one:"])
def test_a_text_with_a_delimiter_is_not_shown(rankers, compare, text):
    states = [v.state for v in compare(rankers[1], [PAIRS[0], ("Why?", text, "b"), PAIRS[1]])]
    assert states == ["given", "invalid", "given"]


def test_a_pair_that_is_too_long_is_told(rankers, compare):
    with pytest.raises(DataError, match=r"is to read 20: .How do I reset"):
        compare(rankers[1], max_length=20)


@pytest.mark.parametrize(
    "layout", ["{prompt} {first}", "{prompt}{first}{second}{first}", "{first!r}{prompt}{second}",
               "{prompt", "{0}{1}{2}"]
)  # fmt: skip
def test_a_layout_that_lacks_a_text_is_told_before_a_run(layout, tmp_path):
    params = ANNOTATORS.complete_params("pair-ranker", {"model": str(tmp_path), "layout": layout})
    with pytest.raises(ConfigError, match=r"needs \{prompt\}, \{first\} and \{second\}"):
        list(ANNOTATORS.check("pair-ranker", params))
