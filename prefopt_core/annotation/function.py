"""Score with a Python function of the user's."""

from collections.abc import Iterator, Sequence
from typing import Any

from prefopt_core.annotation import GOLD_FUNCTIONS, Request
from prefopt_core.ground.functions import load_function


def annotate(requests: Sequence[Request], *, function: str) -> Iterator[float | None]:
    """Call `file.py:name`, `module:name` or a world's function with (prompt, response)."""
    score = GOLD_FUNCTIONS[function] if function in GOLD_FUNCTIONS else load_function(function)
    for request in requests:
        prompt: Any = request.prompt
        if len(request.prompt) == 1:  # the usual case: a plain text
            prompt = request.prompt[0]["content"]
        yield score(prompt, request.response)
