"""From messages to tokens: exactly one BOS, and EOS where a response ended."""

import copy

import pytest
from tokenizers.processors import TemplateProcessing

from prefopt_core.ground.errors import DataError
from prefopt_core.models.responses import turn_token_ids
from prefopt_core.models.tokens import (
    PLAIN_TEMPLATE,
    conversation_token_ids,
    prompt_token_ids,
    template_digest,
)

USER = [{"role": "user", "content": "How do I reset it?"}]


@pytest.fixture
def variant(tiny_tokenizer):
    """The tiny tokenizer, with or without a BOS of its own or of its template."""

    def variant(*, adds=False, writes=False, template=None):
        tokenizer = copy.deepcopy(tiny_tokenizer)
        if adds:
            bos = (tokenizer.bos_token, tokenizer.bos_token_id)
            tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
                single=f"{bos[0]} $A", pair=f"{bos[0]} $A $B", special_tokens=[bos]
            )
        if writes:
            tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
        if template:
            tokenizer.chat_template = template
        return tokenizer

    return variant


@pytest.mark.parametrize("writes", [False, True], ids=["template silent", "template writes it"])
@pytest.mark.parametrize("adds", [False, True], ids=["tokenizer silent", "tokenizer adds it"])
def test_prompt_begins_with_exactly_one_bos_if_anybody_asks_for_it(variant, adds, writes):
    tokenizer = variant(adds=adds, writes=writes)
    ids = prompt_token_ids(tokenizer, USER)
    assert ids.count(tokenizer.bos_token_id) == (adds or writes)
    assert ids[0] == (tokenizer.bos_token_id if adds or writes else ids[0])
    assert tokenizer.decode(ids).removeprefix("<s>") == "<|user|>How do I reset it?<|assistant|>"


def test_response_has_no_bos_and_ends_with_eos_unless_it_was_cut_off(variant):
    tokenizer = variant(adds=True)
    _, ids = turn_token_ids(tokenizer, USER, "Press the button.")
    assert tokenizer.bos_token_id not in ids
    assert ids[-1] == tokenizer.eos_token_id
    assert turn_token_ids(tokenizer, USER, "Press the button.", finished=False)[1] == ids[:-1]
    assert turn_token_ids(tokenizer, USER, "")[1] == [tokenizer.eos_token_id]


def test_prompt_and_response_are_the_conversation_as_the_template_writes_it(variant):
    tokenizer = variant(writes=True)
    response = {"role": "assistant", "content": "Open the settings."}
    whole = tokenizer.apply_chat_template([*USER, response], tokenize=True)["input_ids"]
    prompt, answer = turn_token_ids(tokenizer, USER, response["content"])
    assert prompt == prompt_token_ids(tokenizer, USER)
    assert prompt + answer == whole == conversation_token_ids(tokenizer, [*USER, response])


def test_plain_template_gives_the_prompt_as_it_is(variant):
    tokenizer = variant(template=PLAIN_TEMPLATE)
    assert tokenizer.decode(prompt_token_ids(tokenizer, USER)) == "How do I reset it?"


def test_roles_that_a_template_refuses_are_told_with_its_reason(variant):
    refusing = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(DataError, match=r"roles user of the prompt 'How do.*: System role not sup"):
        prompt_token_ids(variant(template=refusing), USER)


def test_digest_tells_templates_apart(variant):
    assert template_digest(variant()) == template_digest(variant(adds=True))
    assert template_digest(variant()) != template_digest(variant(writes=True))
