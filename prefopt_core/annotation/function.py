"""Score with a Python function of the user's."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prefopt_core.annotation import GOLD_FUNCTIONS
from prefopt_core.annotation.verdicts import by_scores
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.functions import check_call, load_function
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.labels.questions import Question, Verdict


def annotate(questions: Sequence[Question], *, function: str) -> Iterator[Verdict]:
    """Call `file.py:name`, `module:name` or a world's function with (prompt, response).

    Args:
        questions: The responses to score.
        function: `file.py:name`, `module:name`, or a name from `prefopt list functions`. Called
            with the prompt's text (of several messages: their list) and the response; it returns a
            finite number, higher is better, or None for no verdict.
    """
    yield from by_scores(questions, scores(questions, function))


def scores(questions: Sequence[Question], function: str) -> Iterator[Any]:
    """What the function returns for each response of each question, unchecked."""
    score = _found(function)
    for question in questions:
        prompt: Any = question.prompt
        if len(question.prompt) == 1:  # the usual case: a plain text
            prompt = question.prompt[0]["content"]
        for shown in question.responses:
            yield score(prompt, shown.text)


def check_annotate(*, function: str) -> Iterator[str]:
    """Load the function, and see whether it can be called with a prompt and a response.

    Raises:
        ConfigError: It cannot.
        UserCodeError: Its file raises when it is loaded.
    """
    if function not in GOLD_FUNCTIONS:
        check_call(_found(function), function, "prompt", "response")
    yield from ()


def _found(function: str) -> Callable[[Any, str], Any]:
    if function in GOLD_FUNCTIONS:
        return GOLD_FUNCTIONS[function]
    if ":" not in function:
        raise ConfigError(
            f"There is no function {function!r}.{did_you_mean(function, GOLD_FUNCTIONS)} One of "
            "yours is written 'file.py:name' or 'module:name'."
        )
    return load_function(function)
