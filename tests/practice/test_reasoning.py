"""Reasoning of thinking models."""

import pytest

from prefopt_core.generation import Response
from prefopt_core.generation.encoding import answered
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.generation.transformers_local import generate
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.spending import adding_up
from prefopt_core.inputs.prompts import from_file
from prefopt_core.models.tokenised import tokenised
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids
from tests.families import FAMILIES
from tests.scripted import behind, scripted_model

USER = [{"role": "user", "content": "How do I reset it?"}]
THOUGHT = "Hm. They said open it.\n</think>\n\nOpen it."


@pytest.fixture
def given(tmp_path):
    """A given response as it is trained."""

    def given(family, response):
        tokenizer = FAMILIES[family].tokenizer()
        tokenizer.save_pretrained(tmp_path / "model")
        _, ids = tokenised(tmp_path / "model", USER, response)
        return repr(tokenizer.decode(ids))

    return given


@pytest.mark.case(
    "A given response, and a template whose prompts open <think> (DeepSeek-R1)",
    reports="huggingface/trl#5213, huggingface/trl#3522",
    before="'Open it.<|end_of_sentence|>': the answer amid the reasoning",
    expected="refused: … prompts end in <think>, and the response 'Open it.' … no reasoning …",
)
def test_no_answer_stands_in_an_open_block(given):
    return given("DeepSeek-R1", "Open it.")


@pytest.mark.case(
    "The same with reasoning in the response, which the template leaves out",
    reports="tried here",
    before="'<think>\\nHm.…': a second <think> in the first",
    expected="refused: … prompts end in <think>, …",
)
def test_reasoning_that_a_template_drops_is_refused(given):
    return given("DeepSeek-R1", "<think>\nHm.\n</think>\n\nOpen it.")


@pytest.mark.case(
    "A template that closes the block that its prompts open once the turn is finished",
    reports="ggml-org/llama.cpp#22507",
    before="'Open it.<|im_end|>': the answer amid the reasoning",
    expected=r"'\n</think>\n\nOpen it.<|im_end|>'",
)
def test_the_template_closes_the_block(given):
    return given("Prompts open reasoning, finished turns close it", "Open it.")


@pytest.mark.case(
    "Qwen3's template writes an empty block before an answer without reasoning",
    reports="hiyouga/LlamaFactory#9392",
    before="'Open it.<|im_end|>': another text than the template's",
    expected=r"'<think>\n\n</think>\n\nOpen it.<|im_end|>'",
)
def test_the_templates_empty_block_is_trained(given):
    return given("Qwen3", "Open it.")


@pytest.mark.case(
    "Sampled <reasoning> and <answer>, the form that a prompt asks for (GRPO's recipes)",
    reports="tried here",
    before="right",
    expected="'<reasoning>Hm.</reasoning><answer>4</answer>', stop, …",
)
def test_tags_that_a_prompt_asks_for_are_text(sampled):
    return sampled("ChatML", "<reasoning>Hm.</reasoning><answer>4</answer>", max_new_tokens=70)


@pytest.fixture
def marked(tmp_path):
    """A given response with reasoning, whose marks are special tokens, as it is trained."""

    def marked(template):
        tokenizer = FAMILIES["Qwen3"].tokenizer()
        tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
        tokenizer.chat_template = template(tokenizer.chat_template)
        tokenizer.save_pretrained(tmp_path / "model")
        text = "<think>\nHm.\n</think>\n\nOpen it."
        _, ids = tokenised(tmp_path / "model", USER, text)
        first = tokenizer.convert_ids_to_tokens(ids[0])
        return f"{first} is one token; {tokenizer.decode(ids)!r}"

    return marked


@pytest.mark.case(
    "Reasoning in a given response whose marks are special tokens",
    reports="tried here",
    before="right",
    expected=r"<think> is one token; '<think>\nHm.\n</think>\n\nOpen it.<|im_end|>'",
)
def test_marks_of_reasoning_are_the_tokens_themselves(marked):
    return marked(lambda template: template)


@pytest.mark.case(
    "The same, and the template leaves reasoning out",
    reports="tried here",
    before="trained with the reasoning that no conversation has",
    expected="refused: … does not write all of the response … leave reasoning out.",
)
def test_reasoning_that_the_template_drops_is_refused(marked):
    return marked(lambda template: template.replace("{% if loop.last %}", "{% if false %}"))


@pytest.mark.case(
    "A template that leaves a part of the response out, in a model that does not think",
    reports="tried here",
    before="trained with what no conversation has",
    expected="refused: … does not write all of the response 'Hm.</think>Open it.' …",
)
def test_a_part_that_the_template_drops_is_refused(tmp_path):
    tokenizer = FAMILIES["ChatML"].tokenizer()
    content = "m.content.split('</think>')[-1]"
    tokenizer.chat_template = tokenizer.chat_template.replace("m.content", content)
    tokenizer.save_pretrained(tmp_path / "model")
    return repr(tokenizer.decode(tokenised(tmp_path / "model", USER, "Hm.</think>Open it.")[1]))


@pytest.mark.case(
    "A file of responses that begin with reasoning (distilled data)",
    reports="tried here",
    before="labelled and trained as part of them, without a word",
    expected="1 of 2 responses of the file begin with reasoning, such as <think>. It is labelled …",
)
def test_reasoning_in_a_file_is_told(write, caplog):
    row = {"prompt": "Hi", "responses": ["<think>\nHm.\n</think>\n\nHello.", "Hello."]}
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": "Hi"}])))
    params = {"path": str(write("c.jsonl", [row]))}
    config = GenerationConfig(generator="file", params=params)
    assert generate_candidates(prompts, None, config, seed=0).height == 2
    return caplog.messages[-1]


@pytest.fixture
def sampled(tmp_path):
    """What a thinking model's sampled response is taken for."""

    def sampled(family, script, n=1, **params):
        tokenizer = FAMILIES[family].tokenizer()
        ids = prompt_token_ids(tokenizer, USER)
        rest = tokenizer(script, add_special_tokens=False)["input_ids"]
        folder = scripted_model(tmp_path / "model", tokenizer, behind(ids, rest))
        load_tokenizer.cache_clear()
        (responses,) = generate([Prompt("p", USER)], folder, n, 0, **params)
        whole = len(responses[0].token_ids)
        return f"{responses[0].text!r}, {responses[0].finish_reason}, {whole} of {len(rest) + 1}"

    return sampled


@pytest.mark.case(
    "A sampled response with reasoning, behind a prompt that opens it",
    reports="vllm-project/vllm#17144, vllm-project/vllm#31045",
    before="the reasoning was labelled and paired as part of the response",
    expected="'Open it.', stop, …",
)
def test_reasoning_is_no_part_of_the_text_and_all_token_ids_are_kept(sampled):
    got = sampled("DeepSeek-R1", THOUGHT, max_new_tokens=70)
    text, reason, count = got.rsplit(", ", 2)
    have, of = count.split(" of ")
    assert have == of
    return f"{text}, {reason}, all token ids"


@pytest.mark.case(
    "The same of a model that writes <think> itself",
    reports="tried here",
    before="the reasoning was labelled and paired as part of the response",
    expected="'Open it.', stop, …",
)
def test_reasoning_that_a_model_opens_itself(sampled):
    return sampled("Qwen3", "<think>\n" + THOUGHT, max_new_tokens=70)


@pytest.mark.case(
    "A response that is cut off within its reasoning",
    reports="tried here",
    before="'Hm. They said o', length: taken for the response",
    expected="refused: 2 of 2 responses … within the model's reasoning, … `…max_new_tokens`.",
)
def test_reasoning_without_an_answer_is_no_response(sampled):
    return sampled("DeepSeek-R1", THOUGHT, n=2, max_new_tokens=8)


def test_responses_without_an_answer_can_be_left_out():
    """One of two prompts' samples ends in time: the others are left out and counted."""
    prompts, tokenizer = [Prompt("p", USER)], FAMILIES["ChatML"].tokenizer()
    kept = Response("Open it.", "stop", token_ids=[1])
    with adding_up() as spent:
        assert answered(tokenizer, prompts, [[kept, None, None]], "drop") == [[kept]]
    assert str(spent) == "2 withheld and left out"
    for withheld, row in (("error", [kept, None]), ("drop", [None, None])):
        with pytest.raises(DataError, match=r"of 2 responses .* cut off within the model's reason"):
            answered(tokenizer, prompts, [row], withheld)


@pytest.mark.case(
    "A model that does not think and writes of the tag",
    reports="tried here",
    before="right",
    expected="'Write <think> first.', stop, …",
)
def test_a_tag_amid_an_answer_is_text(sampled):
    return sampled("ChatML", "Write <think> first.", max_new_tokens=70)
