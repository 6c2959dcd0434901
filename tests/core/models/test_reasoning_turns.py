"""Templates of thinking models: blocks that prompts open, close or leave out; channels."""

import copy

import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.models.responses import decoded, response_text, turn_token_ids
from prefopt_core.models.templates import turn_of
from prefopt_core.models.tokens import prompt_token_ids
from tests.families import FAMILIES, Family

USER = [{"role": "user", "content": "How do I reset it?"}]


def chatml(start, opening=""):
    """ChatML whose prompts end in `start`, and whose responses begin with `opening`."""
    tokenizer = copy.deepcopy(FAMILIES["Qwen3"].tokenizer())
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
        "{% if m.role == 'assistant' %}{{ '" + opening + "' }}{% endif %}"
        "{{ m.content + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n" + start + "' }}{% endif %}"
    )
    return tokenizer


def test_block_that_a_finished_turn_leaves_open_is_refused():
    tokenizer = chatml(r"<think>\n", r"<think>\n")
    with pytest.raises(DataError, match=r"prompts end in <think>, and the response 'Yes\.'"):
        turn_token_ids(tokenizer, USER, "Yes.")
    _, said = turn_token_ids(tokenizer, USER, "Hm.\n</think>\n\nYes.")
    assert decoded(tokenizer, said) == "Hm.\n</think>\n\nYes.<|im_end|>"


def test_block_of_another_shape_is_not_written_twice():
    tokenizer = chatml(r"<think>\n\n</think>\n\n", "<think></think>")
    with pytest.raises(DataError, match="writes the prompt otherwise"):
        turn_token_ids(tokenizer, USER, "Yes.")


HARMONY = Family(
    "byte-level",
    "{% for m in messages %}{{ '<|start|>' + m.role }}"
    "{% if m.role == 'assistant' %}{{ '<|channel|>final' }}{% endif %}"
    "{{ '<|message|>' + m.content }}"
    "{{ '<|return|>' if loop.last and m.role == 'assistant' else '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}",
    "<|return|>", "<|return|>", ("<|start|>", "<|channel|>", "<|message|>", "<|end|>"),
)  # fmt: skip


def test_token_that_ends_parts_of_a_turn_does_not_end_the_turn():
    """As in gpt-oss: analysis ends in <|end|>, and the answer follows."""
    tokenizer = HARMONY.tokenizer()
    assert turn_of(tokenizer).ends == ("<|return|>",)
    asked, said = turn_token_ids(tokenizer, USER, "Yes.")
    assert decoded(tokenizer, said) == "<|channel|>final<|message|>Yes.<|return|>"
    assert response_text(tokenizer, asked, said, finished=True) == "Yes."
    thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    ids = tokenizer(thought, add_special_tokens=False)["input_ids"]
    assert response_text(tokenizer, asked, [*ids, *said], finished=True) == "Yes."
    assert response_text(tokenizer, asked, ids, finished=False) is None


def test_reasoning_that_a_prompt_opens_is_never_skipped():
    tokenizer = FAMILIES["DeepSeek-R1"].tokenizer()
    for answer in ("Yes.", "<think>\nHm.\n</think>\n\nYes."):
        with pytest.raises(DataError, match=r"prompts end in <think>, and the response"):
            turn_token_ids(tokenizer, USER, answer)
    prompt = prompt_token_ids(tokenizer, USER)
    ids = tokenizer("Hm.\n</think>\n\nYes.", add_special_tokens=False)["input_ids"]
    assert response_text(tokenizer, prompt, [*ids, tokenizer.eos_token_id], finished=True) == "Yes."
    cut = tokenizer("Hm. Her hello", add_special_tokens=False)["input_ids"]
    assert response_text(tokenizer, prompt, cut, finished=False) is None
