"""vLLM without prefopt: `vllm_alone.py` in a process of its own, asked from here."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.generation.rivals import Asked
from prefopt_core.ground.errors import MissingExtraError
from prefopt_core.models.vllm import PYTHON_VARIABLE, _threads
from prefopt_core.models.vllm.link import DEFAULTS, FIXED, FOREIGN

ALONE = Path(__file__).with_name("vllm_alone.py")


@contextmanager
def bare_engine(
    asked: Asked, settings: dict[str, Any]
) -> Iterator[Callable[[str], tuple[int, float]]]:
    """`LLM.generate` on all prompts at once, in a process like our engine's: as many threads.

    By itself vLLM takes all cores and three processes, which for a small model is slower.
    """
    python = os.environ.get(PYTHON_VARIABLE, sys.executable)
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    work = [str(asked.model), str(asked.n), str(asked.new), json.dumps(settings)]
    command = [python, str(ALONE), *work]
    pipe, environment = subprocess.PIPE, DEFAULTS | _threads(asked.model) | inherited | FIXED
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdin
        assert process.stdout
        with suppress(BrokenPipeError):  # the first answer tells
            print(json.dumps(asked.ids), file=process.stdin, flush=True)

        def call(what: str) -> tuple[int, float]:
            assert process.stdout
            try:
                print(what, file=process.stdin, flush=True)
                tokens, seconds = json.loads(process.stdout.readline())
            except (BrokenPipeError, ValueError):
                raise MissingExtraError(f"{python} could not start vLLM") from None
            return tokens, seconds

        yield call
        with suppress(BrokenPipeError):
            process.stdin.close()
