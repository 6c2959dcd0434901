"""Twenty families of models: a response is trained as the template writes it, to its end."""

import copy

import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.models.literal import control_tokens
from prefopt_core.models.responses import decoded, response_text, turn_token_ids
from prefopt_core.models.templates import rendered, turn_of
from prefopt_core.models.tokens import conversation_token_ids, encoded, prompt_token_ids
from tests.families import FAMILIES

USER = [{"role": "user", "content": "How do I reset it?"}]
TURNS = [*USER, {"role": "assistant", "content": "Open it."}, {"role": "user", "content": "And?"}]
ANSWERS = [
    "Hello there.",
    "H",
    "Then she saw.",
    " Then",
    "\nHello",
    "Two\n\nparts.",
    "Öl, 10 €!",
    "",
]
THINKS = "DeepSeek-R1"  # its prompts open reasoning, which given responses do not have


@pytest.fixture(params=[name for name in FAMILIES if name != THINKS])
def family(request):
    return FAMILIES[request.param]


@pytest.mark.parametrize("prompt", [USER, TURNS], ids=["one turn", "three"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_prompt_and_response_are_the_conversation_as_the_template_writes_it(family, prompt, answer):
    tokenizer = family.tokenizer()
    asked, said = turn_token_ids(tokenizer, prompt, answer)
    text = rendered(tokenizer, [*prompt, {"role": "assistant", "content": answer}])
    whole = encoded(tokenizer, text, {})[0]
    end = tokenizer.convert_tokens_to_ids(family.end or family.eos)
    assert asked == prompt_token_ids(tokenizer, prompt)
    assert said[-1] == end
    assert said.count(end) == 1
    ours = [*asked, *said]
    if family.end:
        assert ours == whole[: len(ours)]
        assert not decoded(tokenizer, whole[len(ours) :]).replace(family.eos, "").strip()
    else:  # the template writes no end: the tokenizer's stands where white space would
        assert decoded(tokenizer, ours[:-1]).rstrip() == decoded(tokenizer, whole).rstrip()
    if bos := tokenizer.bos_token:
        written = text.count(bos)  # by Llama 2 at each question
        assert ours.count(tokenizer.bos_token_id) == (written or family.adds_bos)


@pytest.mark.parametrize("answer", ANSWERS)
def test_text_of_sampled_ids_is_the_message_that_the_template_writes_so(family, answer):
    tokenizer = family.tokenizer()
    asked, said = turn_token_ids(tokenizer, USER, answer)
    text = response_text(tokenizer, asked, said, finished=True)
    if tokenizer.unk_token_id not in said:
        assert turn_token_ids(tokenizer, USER, text) == (asked, said)
        assert text.split() == answer.split() or family.kind == "wordpiece"


@pytest.mark.parametrize("answer", ["Hello there", "Two\n\nparts"])
def test_response_that_was_cut_off_has_no_end(family, answer):
    tokenizer = family.tokenizer()
    asked, said = turn_token_ids(tokenizer, USER, answer, finished=False)
    assert not set(said) & set(control_tokens(tokenizer).values())
    finished = turn_token_ids(tokenizer, USER, answer)[1]
    assert finished[: len(said)] == said
    text = response_text(tokenizer, asked, said, finished=False)
    assert turn_token_ids(tokenizer, USER, text, finished=False) == (asked, said)


def control_ids(tokenizer, ids):
    numbers = set(control_tokens(tokenizer).values()) - {tokenizer.unk_token_id}
    return [token for token in ids if token in numbers]


@pytest.mark.parametrize("amid", ["Say {} now.", "{} begins", "{}{}", "a{}b"])
def test_names_of_control_tokens_stay_text(family, amid):
    """Prompt and response hold as many control tokens as with other words, and the same."""
    tokenizer = family.tokenizer()
    for name in control_tokens(tokenizer):
        text = amid.replace("{}", name) + "."
        ask = [{"role": "user", "content": text}]
        asked, said = turn_token_ids(tokenizer, ask, text)
        plain_ask = [{"role": "user", "content": "Words."}]
        plain = turn_token_ids(tokenizer, plain_ask, "Words.")
        assert control_ids(tokenizer, asked) == control_ids(tokenizer, plain[0])
        assert control_ids(tokenizer, said) == control_ids(tokenizer, plain[1])
        whole = conversation_token_ids(tokenizer, [*ask, {"role": "assistant", "content": text}])
        assert [*asked, *said][: len(whole)] == whole[: len(asked) + len(said)] or not family.end
        if name != tokenizer.unk_token and family.kind != "wordpiece":
            assert response_text(tokenizer, asked, said, finished=True) == text
        with pytest.raises(DataError, match="stands at the end of the response"):
            turn_token_ids(tokenizer, USER, f"Words.{name}")


def test_reading_with_masks_is_reading_without_where_nothing_is_masked(family):
    """The copy of the tokenizer reads what the template writes as the tokenizer itself does."""
    tokenizer = family.tokenizer()
    turns = [{"role": "user", "content": "How \U000f0000 do I?"}, *TURNS[1:]]
    text = rendered(tokenizer, turns)
    mask = {"\U000f0000": "reset it"}
    plain = encoded(tokenizer, text.replace("\U000f0000", "reset it"), {})[0]
    assert encoded(tokenizer, text, mask)[0] == plain


def test_prompt_that_ends_in_an_empty_block_keeps_it_in_training():
    """As of models that are told not to think; conversations have no such block."""
    tokenizer = FAMILIES["ChatML"].tokenizer()
    without = turn_token_ids(tokenizer, USER, "<b> is a tag.")
    tokenizer = copy.deepcopy(tokenizer)
    block = "<think>\n\n</think>\n\n"
    tokenizer.chat_template = tokenizer.chat_template.replace(
        r"<|im_start|>assistant\n' }}{% endif %}",
        r"<|im_start|>assistant\n" + block.replace("\n", r"\n") + "' }}{% endif %}",
    )
    asked, said = turn_token_ids(tokenizer, USER, "<b> is a tag.")
    assert decoded(tokenizer, asked) == decoded(tokenizer, without[0]) + block
    assert said == without[1]
    _, said = turn_token_ids(tokenizer, USER, "Hello.")
    assert response_text(tokenizer, asked, said, finished=True) == "Hello."


def test_tokenizer_in_python_is_read_without_places_and_refuses_names():
    from transformers import ByT5Tokenizer

    tokenizer = ByT5Tokenizer()
    tokenizer.chat_template = FAMILIES["OLMo, Tulu"].template
    asked, said = turn_token_ids(tokenizer, USER, "Hello.")
    assert tokenizer.decode([*asked, *said]).endswith("<|assistant|>\nHello.</s>")
    assert response_text(tokenizer, asked, said, finished=True) == "Hello."
    with pytest.raises(DataError, match=r"has the text </s>, which .* only read as a control"):
        turn_token_ids(tokenizer, USER, "The tag </s> ends it.")


def test_end_token_that_is_white_space_leaves_line_breaks_alone():
    tokenizer = copy.deepcopy(FAMILIES["Falcon"].tokenizer())
    tokenizer.add_special_tokens({"eos_token": "\n"})
    _, said = turn_token_ids(tokenizer, USER, "Two\nlines.")
    assert decoded(tokenizer, said) == " Two\nlines.\n"
    assert said[-1] == tokenizer.eos_token_id


def test_ends_are_those_of_the_template(family):
    assert turn_of(family.tokenizer()).ends == ((family.end,) if family.end else ())


@pytest.mark.parametrize("kind", ["Zephyr", "Llama 2", "Gemma", "ChatML", "Alpaca"])
def test_token_that_is_part_prompt_and_part_response_is_written_in_parts(kind):
    """The prompt ends in a space, which is the first half of the response's first token."""
    tokenizer = copy.deepcopy(FAMILIES[kind].tokenizer())
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ 'USER: ' + m.content + ' ASSISTANT:' }}"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ ' ' }}{% endif %}"
    )
    asked, said = turn_token_ids(tokenizer, USER, "Hello there.")
    assert asked == prompt_token_ids(tokenizer, USER)
    whole = conversation_token_ids(
        tokenizer, [*USER, {"role": "assistant", "content": "Hello there."}]
    )
    assert decoded(tokenizer, [*asked, *said]) == decoded(tokenizer, whole)
    assert said[-3:] == whole[-3:]
    assert said[-1] == tokenizer.eos_token_id
