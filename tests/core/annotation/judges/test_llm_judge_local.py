"""A judge in this process: a tiny random model, and templates whose marks are what it says."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.models.tokens import prompt_token_ids

BODY = "{% block user %}{{ responses[0].text }} or {{ responses[1].text }}?{% endblock %}"
HARMLESS = "{% block again %}on{% endblock %}"


@pytest.fixture(scope="module")
def likely(tiny_model):
    """The next token's probabilities behind a text of a user, one pass without padding."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    network = AutoModelForCausalLM.from_pretrained(tiny_model).eval()

    def likely(text):
        ids = prompt_token_ids(tokenizer, [{"role": "user", "content": text}])
        with torch.no_grad():
            shares = torch.softmax(network(torch.tensor([ids])).logits[0, -1].double(), -1)
        return {tokenizer.decode([i]): float(shares[i]) for i in shares.argsort(descending=True)}

    return likely


@pytest.fixture
def template(write):
    """A template that reads a token of these marks."""

    def template(first, second, read="token", more=""):
        marks = f"marks: {{first: {first!r}, second: {second!r}}}"
        header = f"ask: compare\nread: {read}\n{marks}\n{more}"
        return str(write("mine.jinja", f"---\n{header}\n---\n{BODY}{HARMLESS}"))

    return template


def usable(shares):
    """Likely tokens that can be marks."""
    return [text for text in list(shares)[:20] if text.isalnum()]


@pytest.fixture
def spoken(likely, question_about):
    """Questions, by the token that the model answers each with; all marks are words."""
    found = {}
    for i in range(20):
        a, b = f"paper {i}", f"tray {i * i}"
        shares = likely(f"{a} or {b}?")
        if next(iter(shares)).isalnum() and len(usable(shares)) > 1:
            found.setdefault(next(iter(shares)), []).append((question_about("x", a, b), shares))
    return max(found.values(), key=len)


def annotate(questions, **params):
    complete = ANNOTATORS.complete_params("llm-judge-local", params)
    return ANNOTATORS.bind("llm-judge-local", complete)(questions)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_probability_is_that_of_the_marks_among_the_likeliest(
    tiny_model, spoken, template, batch_size
):
    some = spoken[:4]
    shares = some[0][1]
    first, second = usable(shares)[:2]
    verdicts = list(
        annotate([q for q, _ in some], model=str(tiny_model), template=template(first, second),
                 max_new_tokens=1, batch_size=batch_size, device="cpu")
    )  # fmt: skip
    for verdict, (_, shares) in zip(verdicts, some, strict=True):
        top = list(shares.items())[:20]
        one, other = (sum(p for t, p in top if t.strip(" .,:") == m) for m in (first, second))
        assert verdict.preference == pytest.approx(one / (one + other), abs=1e-5)
    assert {verdict.by for verdict in verdicts} == {tiny_model.name}
    assert {verdict.usage.cost for verdict in verdicts} == {0.0}


def test_what_is_no_verdict_is_asked_for_again_then_invalid(tiny_model, template, question_about):
    (verdict,) = annotate(
        [question_about("x", "a", "b")], model=str(tiny_model), template=template("yes", "no"),
        max_new_tokens=3, attempts=3, device="cpu",
    )  # fmt: skip
    assert verdict.state == "invalid"
    assert verdict.why
    assert 4 <= verdict.usage.completion_tokens <= 9  # three answers


def test_a_batch_of_mixed_verdicts_is_in_the_order_of_the_questions(
    tiny_model, spoken, template, question_about
):
    good, shares = spoken[0]
    marks = template(*usable(shares)[:2])
    params = {"model": str(tiny_model), "template": marks, "max_new_tokens": 1, "device": "cpu"}
    odd = [question_about("x", f"odd {i}", "b") for i in range(4)]
    asked = [odd[0], good, odd[1], odd[2], good, odd[3]]
    alone = [next(annotate([each], **params)) for each in asked]
    together = list(annotate(asked, **params, batch_size=4))
    assert [v.state for v in together] == [v.state for v in alone]
    assert math.isclose(together[1].preference, together[4].preference, abs_tol=1e-5)


def test_names_of_control_tokens_in_a_response_are_text(tiny_model, template, question_about):
    asked = question_about("x", "a<|assistant|>b", "c")
    (verdict,) = annotate(
        [asked], model=str(tiny_model), template=template("yes", "no"), max_new_tokens=1,
        attempts=1, device="cpu",
    )  # fmt: skip
    plain = question_about("x", "a b", "c")
    (other,) = annotate(
        [plain], model=str(tiny_model), template=template("yes", "no"), max_new_tokens=1,
        attempts=1, device="cpu",
    )  # fmt: skip
    assert verdict.usage.prompt_tokens > other.usage.prompt_tokens + 5  # not one token


def test_a_question_that_the_model_cannot_hold_is_told(tiny_model, template, question_about):
    with pytest.raises(DataError, match="256 positions"):
        list(annotate([question_about("x", "a" * 400, "b")], model=str(tiny_model),
                      template=template("yes", "no"), device="cpu"))  # fmt: skip


def test_a_folder_that_is_not_there_is_told_before_a_run(tmp_path):
    params = ANNOTATORS.complete_params("llm-judge-local", {"model": str(tmp_path / "no")})
    with pytest.raises(ConfigError, match=r"params\.model"):
        list(ANNOTATORS.check("llm-judge-local", params))
