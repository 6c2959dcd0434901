"""Score with a Python function of the user's."""

from collections.abc import Iterator, Sequence
from typing import Any

from prefopt_core.annotation import GOLD_FUNCTIONS, Request
from prefopt_core.ground.functions import load_function


def annotate(requests: Sequence[Request], *, function: str) -> Iterator[float | None]:
    """Call `file.py:name`, `module:name` or a world's function with (prompt, response).

    Args:
        requests: The responses to score.
        function: `file.py:name`, `module:name`, or a name from `prefopt list functions`. Called
            with the prompt's text (of several messages: their list) and the response; it returns a
            finite number, higher is better, or None for no verdict.
    """
    score = GOLD_FUNCTIONS[function] if function in GOLD_FUNCTIONS else load_function(function)
    for request in requests:
        prompt: Any = request.prompt
        if len(request.prompt) == 1:  # the usual case: a plain text
            prompt = request.prompt[0]["content"]
        yield score(prompt, request.response)
