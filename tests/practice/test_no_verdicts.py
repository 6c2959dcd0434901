"""Judges without a verdict."""

import pytest

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.errors import DataError


@pytest.mark.case(
    "A judge that forgets to return its score",
    reports="tried here",
    before="all 40 labels of the budget were bought, and no pair could be made",
    expected="refused: Annotator 'function' gave no verdict to the first 8 questions…",
)
def test_none_from_the_start(buy, write):
    path = write("judge.py", "def score(prompt, response):\n    len(response)\n")
    params = {"function": f"{path}:score"}
    return str(buy(AnnotationConfig(annotator="function", params=params), 40))


@pytest.mark.case(
    "The same, run again: it is right that this judge knows none of the texts",
    reports="tried here",
    before="all 40 labels of the budget were bought",
    expected="40 labels, 40 of them None",
)
def test_none_again(buy, write):
    path = write("judge.py", "def score(prompt, response):\n    len(response)\n")
    config = AnnotationConfig(annotator="function", params={"function": f"{path}:score"})
    with pytest.raises(DataError, match="the first 8"):
        buy(config, 40)
    scores = buy(config, 40)
    return f"{len(scores)} labels, {scores.count(None)} of them None"
