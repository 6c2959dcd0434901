"""What of a judge is in the key, and what is told of its settings before a run."""

import pytest

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.evaluation.settings import EvaluationConfig
from prefopt_core.ground.errors import ConfigError

pytest.importorskip("openai", reason="the extra `openai` is not installed")


# --- who the judge is -------------------------------------------------------------------------


def config(**params):
    params = {"base_url": "http://127.0.0.1:1/v1", "model_name": "j"} | params
    return AnnotationConfig(annotator="llm-judge", params=params)


def test_the_content_of_a_template_is_in_the_key_not_its_path(write):
    texts = {name: write(name, f"---\n{name}\n---\n") for name in ("a.jinja", "b.jinja")}
    copied = write("copy.jinja", texts["a.jinja"].read_bytes())
    keys = [config(template=str(p)).key_part() for p in (*texts.values(), copied)]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


def test_a_template_of_ours_is_in_the_key_by_its_content(write):
    from prefopt_core.annotation.judge_template import BUILT_IN

    same = write("mine.jinja", BUILT_IN.path("pairwise").read_bytes())
    assert config().key_part() == config(template=str(same)).key_part()


def test_address_prices_and_speed_are_in_no_key():
    other = {"base_url": "http://h/v1", "concurrency": 1, "price_prompt": 3.0, "timeout_s": 1.0}
    assert config().key_part() == config(**other).key_part()
    assert config().key_part() != config(model_name="k").key_part()


# --- before a run -----------------------------------------------------------------------------


def check(**params):
    return list(ANNOTATORS.check("llm-judge", config(**params).params))


def test_a_check_finds_nothing_wrong_with_a_good_judge(loopback):
    there = {"base_url": loopback.url}
    assert check(**there) == []
    assert check(**there, template="one-token") == []
    assert check(**there, ask="score", template="rubric") == []


def test_a_server_that_does_not_answer_is_a_doubt():
    assert "http://127.0.0.1:1/v1 does not answer" in check()[0]


def test_a_missing_key_is_a_doubt():
    assert "NO_SUCH_KEY is not set" in check(api_key_env="NO_SUCH_KEY")[0]


def test_a_hosted_judge_of_unknown_price_is_a_doubt():
    assert "price of j at https://h/v1 is not known" in check(base_url="https://h/v1")[-1]
    assert "price" not in check(base_url="https://h/v1", price_prompt=0.5)[-1]


WRONG = {
    "address": ({"base_url": "host/v1"}, r"`params\.base_url` must be"),
    "field": ({"extra_body": {"logprobs": True}}, "has logprobs, which prefopt sends"),
    "template": ({"template": "pairwize"}, "Did you mean 'pairwise'"),
    "form": ({"ask": "score"}, "is to compare, and `params.ask` is 'score'"),
    "guidelines": ({"guidelines": "no.txt"}, r"no\.txt, which is no text file"),
}


@pytest.mark.parametrize(("params", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_told_before_a_run(params, words):
    with pytest.raises(ConfigError, match=words):
        check(**params)


def test_an_evaluation_is_by_a_judge_that_compares_or_one_that_scores():
    params = {"base_url": "http://127.0.0.1:1/v1", "model_name": "j"}
    compares = EvaluationConfig(annotator="llm-judge", params=params, generation={"n": 1})
    assert compares.asking.ask == "compare"
    scores = params | {"ask": "score", "template": "rubric"}
    assert EvaluationConfig(annotator="llm-judge", params=scores).asking.ask == "score"


def test_a_ranking_is_refused():
    with pytest.raises(ValueError, match="'score' or 'compare'"):
        config(ask="rank")
