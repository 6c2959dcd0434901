"""Any text, names of control tokens in it or not, is read as a text and found again as it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefopt_core.ground.errors import DataError
from prefopt_core.models.literal import control_tokens
from prefopt_core.models.responses import response_text, turn_token_ids
from prefopt_core.models.tokens import prompt_token_ids
from tests.families import FAMILIES

THINKS = "DeepSeek-R1"
PARTS = [
    *(
        "Hello",
        "Then she",
        " saw",
        "a",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "é",
        "😀",
        "\u00a0",
        "\u200b",
    ),
    *(
        "<",
        ">",
        "|",
        "[",
        "]",
        "/",
        "</",
        "</s",
        "<s",
        "##",
        "{{",
        "{%",
        "\\n",
        "user",
        "assistant",
    ),
    *("</s>", "<s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "[INST]", "<eos>"),
    *("<end_of_turn>", "<|eot_id|>", "<|end|>", "\ue000", "\U000f0000", "\U00100000"),
]
texts = st.lists(st.sampled_from(PARTS), max_size=7).map("".join) | st.text(max_size=9)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != THINKS])
@settings(max_examples=25)
@given(question=texts, answer=texts)
def test_any_text_is_a_text(name, question, answer):
    tokenizer, ask = FAMILIES[name].tokenizer(), [{"role": "user", "content": question}]
    if answer.rstrip().endswith(tuple(control_tokens(tokenizer))):
        with pytest.raises(DataError, match="stands at the end of the response"):
            turn_token_ids(tokenizer, ask, answer)
        return
    asked, said = turn_token_ids(tokenizer, ask, answer)
    other = turn_token_ids(tokenizer, [{"role": "user", "content": "x"}], "y")
    numbers = set(control_tokens(tokenizer).values()) - {tokenizer.unk_token_id}
    for ids, plain in zip((asked, said), other, strict=True):
        assert [i for i in ids if i in numbers] == [i for i in plain if i in numbers]
    assert asked == prompt_token_ids(tokenizer, ask)
    text = response_text(tokenizer, asked, said, finished=True)
    if tokenizer.unk_token_id not in (*asked, *said) and "▁" not in question + answer:
        assert turn_token_ids(tokenizer, ask, text) == (asked, said)
