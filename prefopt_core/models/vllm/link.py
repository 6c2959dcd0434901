"""One vLLM process: start it, exchange JSON lines with it, end it, explain its failures."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefopt_core.ground.errors import ConfigError, MissingExtraError, PrefoptError
from prefopt_core.models.vllm import served

SCRIPT = Path(served.__file__)
DEFAULTS = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
FIXED = {
    # vLLM is in a process of its own already. Without a second one it starts and ends faster, no
    # process is left over, and batches do not depend on the relative speed of the two.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a forked process would keep our pipes open
}
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")
"""Environment variables that are meant for this interpreter only."""

PATIENCE_S = 20.0
"""How long a process may take to end by itself, and again after SIGKILL."""

_PROBLEM = re.compile(r"\b(?:\w+\.)*\w*(?:Error|Exception): .+(?:\n  \S.*)?")
_SYMPTOMS = ("Engine core init", "EngineDeadError", "EngineCore encountered", "WorkerProc init")
"""Parts of vLLM's error messages that only report an error raised elsewhere."""


def environment() -> dict[str, str]:
    """Environment variables for another interpreter: ours without `FOREIGN`."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


class Link:
    """A process that runs `served.py`, in a session of its own, so that its children end with it.

    Args:
        python: Interpreter that has vLLM.
        model: The model it serves, for error messages.
        place: Environment variables that override inherited ones.
        unless_set: Environment variables that inherited ones override.
    """

    def __init__(
        self, python: str, model: str, place: dict[str, str], unless_set: dict[str, str]
    ) -> None:
        self._python, self._model = python, model
        with tempfile.NamedTemporaryFile(
            prefix="prefopt-vllm-", suffix=".log", delete=False
        ) as log:
            self._log = Path(log.name)
            self._process = subprocess.Popen(
                [python, str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env=DEFAULTS | unless_set | environment() | FIXED | place,
            )
        self.close = weakref.finalize(self, _end, self._process, self._log)  # at exit, too

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, as a JSON line.

        Raises:
            PrefoptError: The process has ended.
        """
        assert self._process.stdin
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failure() from None

    def receive(self, progressed: Callable[[float], None] = lambda done: None) -> dict[str, Any]:
        """Wait for its next answer.

        Args:
            progressed: Progress callback: called with the finished share of the call, in [0, 1].

        Raises:
            MissingExtraError: The interpreter cannot import vLLM.
            ConfigError: vLLM does not take the adapter.
            PrefoptError: The process has ended.
        """
        assert self._process.stdout
        for line in self._process.stdout:
            if not line.endswith("\n"):  # it was killed while it wrote
                break
            answer: dict[str, Any] = json.loads(line)
            if "missing" in answer:
                raise MissingExtraError(
                    f"{self._python} cannot import vLLM ({answer['missing']}). Install it in an "
                    "environment of its own, `python -m venv ENV && ENV/bin/pip install vllm`, and "
                    "set `generation.params.python` (and `scoring.params.python`) to "
                    "ENV/bin/python."
                )
            if "refused" in answer:
                raise ConfigError(
                    f"vLLM cannot serve the adapter in {answer['adapter']}: {answer['refused']} "
                    "If it does not know such adapters, set `training.lora.merge: true` or other "
                    "`training.lora.target_modules`: what was written and labelled stays."
                )
            if "done" not in answer:
                return answer
            progressed(answer["done"])
        raise self._failure()

    def _failure(self) -> PrefoptError:
        """The error to raise for a process that ended; its log file is kept."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        code = self._process.poll()
        ended = f"ended with exit code {code}"
        if code is not None and code < 0:
            ended = f"was killed by signal {-code} ({signal.strsignal(-code)})"
        kept = self._log.rename(self._log.with_suffix(".failed.log"))
        return PrefoptError(
            f"The vLLM engine on {self._model} {ended}: {cause(kept.read_text(errors='replace'))}\n"
            "Finished shards are kept; the same command goes on from them. If memory ran out, "
            "lower `max_model_len`, `max_num_seqs` or `max_num_batched_tokens`; if something else "
            "needs the GPU too, `gpu_memory_utilization` (`generation.params`, `scoring.params`). "
            f"All it said: {kept}"
        )


def cause(log: str) -> str:
    r"""The root error in a log: the last that is not a symptom of another; else its last lines.

    An indented line after the error belongs to it: pydantic writes the reason there.

    >>> cause("(Core) ERROR ValueError: No memory.\nRuntimeError: Engine core init failed.")
    'ValueError: No memory.'
    """
    found = [" ".join(match[0].split()) for match in _PROBLEM.finditer(log)]
    roots = [problem for problem in found if not any(s in problem for s in _SYMPTOMS)]
    last = [line.strip() for line in log.splitlines() if line.strip()][-3:]
    return (roots or found or [" / ".join(last) or "it said nothing."])[-1]


def _end(process: "subprocess.Popen[str]", log: Path) -> None:
    assert process.stdin
    assert process.stdout
    with suppress(BrokenPipeError):
        process.stdin.close()  # the end of its input ends it and its children
    if not _gone_within(PATIENCE_S, process):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _gone_within(PATIENCE_S, process)
    process.stdout.close()
    log.unlink(missing_ok=True)


def _gone_within(seconds: float, process: "subprocess.Popen[str]") -> bool:
    """Whether the process and all that it started have ended by then."""
    patience = time.monotonic() + seconds
    while time.monotonic() < patience:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False
