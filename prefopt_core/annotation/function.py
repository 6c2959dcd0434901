"""Score or compare with a Python function of the user's."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from prefopt_core.annotation import GOLD_FUNCTIONS
from prefopt_core.annotation.asking import Orders
from prefopt_core.annotation.verdicts import (
    UnusableAnswerError,
    by_preference,
    by_scores,
    number_in,
)
from prefopt_core.ground.errors import ConfigError, UserCodeError
from prefopt_core.ground.functions import check_call, load_function
from prefopt_core.ground.registry import SpeedOnly, did_you_mean
from prefopt_core.labels.questions import Question, Verdict

_PROBE = ("Which is the capital of France?", "Paris.", "I do not know.")


def annotate(
    questions: Sequence[Question],
    *,
    function: str,
    ask: Literal["score", "compare"] = "score",
    orders: Orders = "one",
    probe: SpeedOnly[bool] = False,
) -> Iterator[Verdict]:
    """Call `file.py:name`, `module:name` or a world's function with (prompt, response).

    Args:
        questions: The responses to score, or to compare.
        function: `file.py:name`, `module:name`, or a name from `prefopt list functions`. Called
            with the prompt's text (of several messages: their list) and the response; it returns a
            finite number, higher is better, or None for no verdict.
        ask: "compare" calls it with the prompt and two responses; it returns the probability that
            the first is better, from 0 to 1, or None.
        orders: "both" compares two responses in both orders, for one label.
        probe: Call it once before the run starts, with a prompt and responses of ours: for
            functions that cost nothing and load nothing.
    """
    if ask == "score":
        yield from by_scores(questions, scores(questions, function))
        return
    compare = _found(function)
    for question in questions:
        texts = (shown.text for shown in question.responses)
        yield by_preference(compare(_prompt_of(question), *texts))


def scores(questions: Sequence[Question], function: str) -> Iterator[Any]:
    """What the function returns for each response of each question, unchecked."""
    score = _found(function)
    for question in questions:
        for shown in question.responses:
            yield score(_prompt_of(question), shown.text)


def _prompt_of(question: Question) -> Any:
    """As functions get it: the usual prompt of one message is a plain text."""
    only = len(question.prompt) == 1
    return question.prompt[0]["content"] if only else question.prompt


def check_annotate(*, function: str, ask: str = "score", probe: bool = False) -> Iterator[str]:
    """Load the function, and see whether it can be called with a prompt and what it is asked about.

    Raises:
        ConfigError: It cannot, or what it gives on a probe is no verdict.
        UserCodeError: Its file raises when it is loaded, or it raises on a probe.
    """
    if function not in GOLD_FUNCTIONS:
        responses = ("response",) if ask == "score" else ("first", "second")
        check_call(_found(function), function, "prompt", *responses)
        if probe:
            _probe(function, ask)
    elif ask == "compare":
        raise ConfigError(f"The function {function!r} scores responses. Set `ask` to 'score'.")
    yield from ()


def _probe(function: str, ask: str) -> None:
    given = _PROBE if ask == "compare" else _PROBE[:2]
    called = f"called as a probe with {', '.join(map(repr, given))}"
    try:
        value = _found(function)(*given)
        if ask == "compare":
            by_preference(value)
        elif value is not None:
            number_in(value)
    except UserCodeError as error:
        raise UserCodeError(f"{error}, {called}.") from error.__cause__
    except UnusableAnswerError as problem:
        raise ConfigError(f"{function} gave {problem}. It was {called}.") from None


def _found(function: str) -> Callable[..., Any]:
    if function in GOLD_FUNCTIONS:
        return GOLD_FUNCTIONS[function]
    if ":" not in function:
        raise ConfigError(
            f"There is no function {function!r}.{did_you_mean(function, GOLD_FUNCTIONS)} One of "
            "yours is written 'file.py:name' or 'module:name'."
        )
    return load_function(function)
