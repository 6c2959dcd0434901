"""A judge behind the loopback server."""

import json

import pytest

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.labels.questions import Question, Shown


def question(prompt, *texts):
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return Question(prompt, messages, tuple(Shown(text, text) for text in texts))


@pytest.fixture(scope="session")
def question_about():
    """A question about responses to a prompt that is a text."""
    return question


@pytest.fixture
def pairs():
    return [question(f"Question {i}?", f"good {i}", f"bad {i}") for i in range(3)]


@pytest.fixture
def judging(loopback, responses, pairs):
    """Have questions judged, by default three pairs; gives verdicts as they arrive."""

    def judging(questions=pairs, **params):
        params = {"base_url": loopback.url, "model_name": "j", "timeout_s": 60} | params
        complete = ANNOTATORS.complete_params("llm-judge", params)
        return ANNOTATORS.bind("llm-judge", complete)(questions)

    return judging


@pytest.fixture
def judge(judging):
    """The same, all verdicts at once."""
    return lambda *args, **params: list(judging(*args, **params))


@pytest.fixture
def says(loopback):
    """Let the judge answer with texts, one a request; the last one from then on."""

    def says(*texts, **choice):
        def behave(request, time):
            text = texts[min(len(loopback.asked), len(texts)) - 1]
            answer = loopback.answer(request, texts=[text])
            answer["choices"][0].update(choice)
            return 200, answer

        loopback.behave = behave

    return says


@pytest.fixture
def better():
    """The answer in the form that the template `pairwise` asks for."""
    return lambda mark: json.dumps({"reason": "So it is.", "better": mark})
