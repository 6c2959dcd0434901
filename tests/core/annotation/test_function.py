"""A function of the user's: found by module or file, and told apart from what is none."""

import sys

import pytest

from prefopt_core.annotation.function import annotate, check_annotate, load_function, scores
from prefopt_core.annotation.verdicts import UnusableAnswerError
from prefopt_core.ground.errors import ConfigError, UserCodeError
from prefopt_core.labels.questions import Verdict
from prefopt_core.worlds.helpdesk import oracle
from tests.verdicts import question, scores_of

SCORER = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Verdict:
    points: int

LIMIT = 3

def score(prompt, response):
    return Verdict(len(prompt) * len(response)).points

def roles(prompt, response):
    return [message["role"] for message in prompt]
"""


def test_function_of_a_file_gets_texts_or_messages(write):
    path = write("scorer.py", SCORER)
    questions = [question("hi", "ho"), question("hi", "hooo")]
    assert scores_of(annotate(questions, function=f"{path}:score")) == [4, 8]
    turns = [{"role": role, "content": "x"} for role in ("system", "user")]
    assert list(scores([question(turns, "y")], f"{path}:roles")) == [["system", "user"]]


COMPARING = """
def longer(prompt, first, second):
    return None if prompt == "pass" else {1: 0.9, 0: 0.5, -1: 0}[
        (len(first) > len(second)) - (len(first) < len(second))
    ]

def wins(prompt, first, second):
    return 2
"""


def test_function_of_two_responses_says_how_probable_it_is_that_the_first_is_better(write):
    path = write("comparing.py", COMPARING)
    pairs = [("hi", "yes", "no"), ("hi", "no", "yes"), ("hi", "a", "b"), ("pass", "a", "b")]
    said = annotate([question(*pair) for pair in pairs], function=f"{path}:longer", ask="compare")
    states = [Verdict.preferred(0.9), Verdict.preferred(0.0), Verdict("tie"), Verdict("skipped")]
    assert list(said) == states
    with pytest.raises(UnusableAnswerError, match=r"2\.0, which is no probability that the first"):
        list(annotate([question("p", "a", "b")], function=f"{path}:wins", ask="compare"))


def test_what_cannot_be_called_with_two_responses_is_told_before_a_run(write):
    path = write("comparing.py", COMPARING + "def score(prompt, response):\n    return 1\n")
    assert list(check_annotate(function=f"{path}:longer", ask="compare")) == []
    with pytest.raises(ConfigError, match="score"):
        list(check_annotate(function=f"{path}:score", ask="compare"))
    with pytest.raises(ConfigError, match="'helpdesk' scores responses"):
        list(check_annotate(function="helpdesk", ask="compare"))


def test_function_of_a_module_is_imported(write, monkeypatch, tmp_path):
    write("my_scorers_of_test_function.py", SCORER)
    monkeypatch.syspath_prepend(tmp_path)
    function = "my_scorers_of_test_function:score"
    assert scores_of(annotate([question("hi", "ho")], function=function)) == [4]
    assert "my_scorers_of_test_function" not in sys.modules  # it is loaded for this function alone


def test_file_may_have_the_name_of_a_module(write):
    assert load_function(f"{write('json.py', SCORER)}:score")("ab", "c") == 2
    assert sys.modules["json"].loads("1") == 1


BAD = {
    "no function": ("scorer.py", r"'scorer\.py' names no function\. Write 'module:function' or"),
    "no file": ("none.py:score", r"There is no file none\.py"),
    "no module": ("scorer:score", r"'scorer:score': .*For a file of yours write 'file\.py:score'"),
    "path for a module": ("./scorer:score", r"neither a module nor a file that ends in \.py"),
    "misspelt": ("scorer.py:scor", r"has no function 'scor'\. Did you mean 'score'\?"),
    "misspelt in a module": ("json:lods", r"json has no function 'lods'\. Did you mean 'loads'\?"),
    "no callable": ("scorer.py:LIMIT", r"has no function 'LIMIT'.*Available: .*score"),
    "needs a library": ("needs.py:score", r"needs\.py:score.*No module named 'absent_thing'\.$"),
    "needs a name": ("lacks.py:score", r"ImportError: cannot import name 'absent' from 'json'"),
    "no Python": ("broken.py:score", r"SyntaxError: .*line 1"),
}


@pytest.mark.parametrize(("function", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_loaded_is_told(write, monkeypatch, tmp_path, function, message):
    monkeypatch.chdir(tmp_path)
    write("scorer.py", SCORER)
    write("needs.py", "import absent_thing\n")
    write("lacks.py", "from json import absent\n")
    write("broken.py", "def score(:\n")
    with pytest.raises(ConfigError, match=message):
        load_function(function)


def test_errors_of_the_function_itself_are_its_own(write):
    path = write("scorer.py", "def score(prompt, response):\n    return {}[response]\n")
    message = r"scorer\.py:score raised KeyError: 'ho' \(.*scorer\.py, line 2: `return \{\}\["
    with pytest.raises(UserCodeError, match=message):
        list(annotate([question("hi", "ho")], function=f"{path}:score"))


def test_a_worlds_function_has_a_name_that_is_no_path():
    texts = ("The kettle I ordered arrived broken. Lena", "Dear Lena,")
    assert scores_of(annotate([question(*texts)], function="helpdesk")) == [oracle.score(*texts)]


def test_to_compare_or_to_rank_it_scores_each_response_by_itself(write):
    path = write("scorer.py", SCORER.replace("Verdict(", "None if not response else Verdict("))
    questions = [
        question("hi", "a", "aaa"),
        question("hi", "b", "c"),
        question("hi", "", "d"),
        question("hi", "ccc", "c", "cc"),
    ]
    compared, tie, skipped, ranked = annotate(questions, function=f"{path}:score")
    assert (compared.scores, compared.probability()) == ((2, 6), 0.0)
    assert (tie, skipped) == (Verdict("tie"), Verdict("skipped"))
    assert ranked.scores == (6, 2, 4)
