"""How a response begins and ends: templates, end tokens, spaces."""

import logging

import pytest
from transformers import LlamaConfig

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.generation.transformers_local import generate
from prefopt_core.ground.ids import Prompt
from prefopt_core.inputs.prompts import from_file
from prefopt_core.models.tokenised import tokenised
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids
from tests.families import FAMILIES, Family
from tests.scripted import behind, scripted_model

USER = [{"role": "user", "content": "How do I reset it?"}]


@pytest.fixture
def given(tmp_path):
    """The tokens of a given response, joined by spaces, for a family's model."""

    def given(family, response, *, template=None):
        folder = saved(tmp_path / "model", family, template)
        _, ids = tokenised(folder, USER, response)
        return " ".join(load_tokenizer(folder).convert_ids_to_tokens(ids))

    return given


def saved(folder, family, template=None):
    family = family if isinstance(family, Family) else FAMILIES[family]
    tokenizer = family.tokenizer()
    tokenizer.chat_template = template or family.template
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.case(
    "A given response for Llama 3, whose turns end in another token than texts",
    reports="meta-llama/llama3#104",
    before="H ello <|end_of_text|>",
    expected="H ello <|eot_id|>",
)
def test_llama_3_ends_its_turn(given):
    return given("Llama 3", "Hello")


@pytest.mark.case(
    "A given response for Gemma",
    reports="huggingface/transformers#32110",
    before="H ello <eos>",
    expected="H ello <end_of_turn>",
)
def test_gemma_ends_its_turn(given):
    return given("Gemma", "Hello")


@pytest.mark.case(
    "Phi-3's template writes <|end|>, and at the end of a conversation <|endoftext|>, too",
    reports="tried here",
    before="▁ H ello <|endoftext|>",
    expected="… <|end|>",
)
def test_phi_3_ends_its_turn(given):
    return given("Phi-3", "Hello")


@pytest.mark.case(
    "The line break of ChatML behind the end of a turn, which no policy writes",
    reports="tried here",
    before="right",
    expected="H ello <|im_end|>",
)
def test_nothing_is_trained_behind_the_end(given):
    return given("ChatML", "Hello")


@pytest.mark.case(
    "A word behind a line break, by a tokenizer that puts a space before each text",
    reports="huggingface/trl#1960",
    before="▁ H ello </s>: a space that the template does not write",
    expected="H ello </s>",
)
def test_no_space_is_put_before_a_response(given):
    return given("Zephyr", "Hello")


@pytest.mark.case(
    "Llama 2's template puts spaces round the response",
    reports="tried here",
    before="▁ H ello </s>",
    expected="▁ H ello ▁ </s>",
)
def test_the_templates_spaces_are_trained(given):
    return given("Llama 2", "Hello")


@pytest.mark.case(
    "A template that writes a space before the response, byte-level BPE",
    reports="tried here",
    before="H ello <|end_of_sentence|>: without the space",
    expected="ĠHello <|end_of_sentence|>",
)
def test_the_templates_space_is_trained_by_byte_level_bpe(given):
    return given("DeepSeek", "Hello")


@pytest.mark.case(
    "A template that ends turns by no token (Falcon): the tokenizer's end token",
    reports="tried here",
    before="H ello <|endoftext|>: without the template's space",
    expected="ĠHello <|endoftext|>",
)
def test_a_turn_without_an_end_gets_the_tokenizers(given):
    return given("Falcon", "Hello")


@pytest.mark.case(
    "A prompt that ends in a space, which is half of the response's first token",
    reports="huggingface/trl#6105, in part",
    before="▁ Hello </s>: a second space",
    expected="Hello </s>",
)
def test_no_token_is_part_of_prompt_and_of_response(given):
    template = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ 'Q: ' + m.content + ' A: ' }}"
        "{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
    )
    return (
        given("Zephyr", "Hello", template=template)
        .replace("H e l l o", "Hello")
        .replace("H ello", "Hello")
    )


@pytest.mark.case(
    "BOS by the template, behind a line break, and by the tokenizer",
    reports="OpenRLHF/OpenRLHF#393",
    before="2 BOS",
    expected="1 BOS",
)
def test_one_bos(tmp_path):
    template = "\n" + FAMILIES["Llama 3"].template
    template = "{{ '\\n' }}" + template.lstrip()
    folder = saved(tmp_path / "model", "Llama 3", template)
    tokenizer = load_tokenizer(folder)
    return f"{prompt_token_ids(tokenizer, USER).count(tokenizer.bos_token_id)} BOS"


@pytest.mark.case(
    "A template without add_generation_prompt: the model would go on with the user's words",
    reports="tried here",
    before="taken: H ello <|im_end|>, without the assistant's header",
    expected="refused: … begins a response with '<|im_start|>assistant' … not behind a prompt…",
)
def test_a_prompt_must_open_the_assistants_turn(given):
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
        "{% endfor %}"
    )
    return given("ChatML", "Hello", template=template)


@pytest.mark.case(
    "Named templates, one of them `default` (Command R)",
    reports="ggml-org/llama.cpp#6484",
    before="right",
    expected="H ello <|im_end|>",
)
def test_the_default_of_named_templates_is_used(given):
    template = FAMILIES["ChatML"].template
    return given("ChatML", "Hello", template={"default": template, "tool_use": "{{ 1 / 0 }}"})


@pytest.mark.case(
    "Named templates, none of them `default`",
    reports="EleutherAI/lm-evaluation-harness#1962",
    before="a traceback of transformers (ValueError)",
    expected="refused: … has the chat templates rag, tool_use, and none is named 'default'. …",
)
def test_named_templates_without_a_default_are_told(given):
    template = FAMILIES["ChatML"].template
    return given("ChatML", "Hello", template={"rag": template, "tool_use": template})


@pytest.fixture
def sampled(tmp_path):
    """What a model writes that goes on with the next speaker's turn: text, reason, tokens."""

    def sampled(name, script, template=None, **params):
        folder = tmp_path / "model"
        tokenizer = FAMILIES[name].tokenizer()
        tokenizer.chat_template = template or tokenizer.chat_template
        ids = prompt_token_ids(tokenizer, USER)
        rest = tokenizer(script, add_special_tokens=False)["input_ids"]
        scripted_model(folder, tokenizer, behind(ids, rest))
        ((response,),) = generate([Prompt("p", USER)], folder, 1, 0, max_new_tokens=40, **params)
        last = tokenizer.convert_ids_to_tokens(response.token_ids[-1])
        return f"{response.text!r}, {response.finish_reason}, {last}"

    return sampled


@pytest.mark.case(
    "A model whose end of turn is in no list of end tokens",
    reports="huggingface/trl#2059, huggingface/lighteval#1279",
    before=r"'Hello.\nuser\nAnd?\nassistant\nYes.', stop, <|endoftext|>",
    expected="'Hello.', stop, <|im_end|>; warned",
)
def test_sampling_stops_where_the_template_ends_turns(sampled, caplog):
    turns = (
        "Hello.<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>"
    )
    with caplog.at_level(logging.WARNING):
        got = sampled("SmolLM, end in no list", turns)
    return got + (
        "; warned" if "ends turns with <|im_end|>, which is neither" in caplog.text else ""
    )


@pytest.mark.case(
    "A model that stops at its template's end, which is listed",
    reports="tried here",
    before="right",
    expected="'Hello.', stop, <|im_end|>",
)
def test_no_warning_where_the_end_is_listed(sampled, caplog):
    got = sampled("ChatML", "Hello.<|im_end|>\n<|im_start|>user\nAnd?")
    return got + caplog.text


@pytest.mark.case(
    "ChatML with a tokenizer that has no <|im_end|>: the end of a turn is plain text",
    reports="huggingface/transformers#31362, in part",
    before=r"'Hello.<|im_end|>\nAnd?', without a word",
    expected=r"'Hello.', stop, …; … ends turns with the text '<|im_end|>', …",
)
def test_an_end_that_is_no_token_is_told(sampled, caplog):
    got = sampled("OLMo, Tulu", "Hello.<|im_end|>\nAnd?", template=FAMILIES["ChatML"].template)
    return f"{got}; {caplog.messages[-1]}"


@pytest.mark.case(
    "A turn that ends in a line of text, and a model that goes on behind it",
    reports="tried here",
    before=r"'Hello.\nSTOP\nAnd?', stop, …",
    expected="'Hello.', stop, P",
)
def test_a_text_that_ends_turns_ends_a_response(sampled):
    template = (
        "{% for m in messages %}{{ m.role + ': ' + m.content }}"
        "{% if m.role == 'assistant' %}{{ '\\nSTOP' }}{% endif %}{{ '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    return sampled("OLMo, Tulu", "Hello.\nSTOP\nAnd?", template=template)


@pytest.mark.case(
    "Given responses that cannot be trained: told before labels are bought",
    reports="tried here",
    before="taken, labelled and trained as `</s></s>`",
    expected="refused: The text </s> stands at the end of the response 'Open it.</s>' …",
)
def test_given_responses_are_tried_when_they_are_read(tmp_path, write):
    path = write("c.jsonl", [{"prompt": "Hi", "responses": ["Close it.", "Open it.</s>"]}])
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": "Hi"}])))
    config = GenerationConfig(generator="file", params={"path": str(path)})
    model = saved(tmp_path / "model", "Zephyr")
    LlamaConfig().save_pretrained(model)
    table = generate_candidates(prompts, model, config, seed=0)
    return ", ".join(table["response"])


@pytest.mark.case(
    "A model that goes on with the next turn, without an end before it",
    reports="huggingface/trl#2059, in part",
    before=r"'Hello.\nuser', stop, …: without a word",
    expected=r"'Hello.\nuser', stop, …; …: it writes <|im_start|> amid its responses. …",
)
def test_control_tokens_amid_a_response_are_told(sampled, caplog):
    got = sampled("ChatML", "Hello.\n<|im_start|>user")
    return f"{got}; {caplog.messages[-1]}"


@pytest.mark.case(
    "A template that writes today's date into prompts (Llama 3.2)",
    reports="tried here",
    before="other prompts every day, without a word",
    expected="'Hello.', stop, <|im_end|>; …: its chat template writes today's date into prompts…",
)
def test_dates_in_prompts_are_told(sampled, caplog):
    template = "{{ strftime_now('%d %b %Y') }}" + FAMILIES["ChatML"].template
    got = sampled("ChatML", "Hello.<|im_end|>", template=template)
    return f"{got}; {caplog.messages[-1]}"
