"""vLLM in a process of its own; run by path, with an interpreter that need not know prefopt.

    PYTHON served.py

JSON lines in and out. The first line in has the settings of `vllm.LLM`, its answer is "ready" or
what is missing; each further line is a call of one of `CALLS`. When standard input ends, because
somebody closed it or died, the process ends with all that vLLM started, in the midst of a call too.
"""

import importlib
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

Say = Callable[..., None]
Bar = Callable[..., Any]


def progress_bar(say: Say) -> Bar:
    """What vLLM shows progress with, made to say it instead: shares of the running call."""
    from tqdm import tqdm

    class Progress(tqdm):  # type: ignore[misc]
        def update(self, count: float | None = 1) -> None:
            super().update(count)
            if self.iterable is None and self.total:  # the answers, not the adding of prompts
                say(done=min(1.0, self.n / self.total))

    return partial(Progress, file=open(os.devnull, "w"))


class RefusedError(Exception):
    """An adapter that vLLM does not take."""


def adapted(llm: Any, adapter: str | None) -> Any:
    """VLLM's request to use the adapter in a folder; None: the model as it is."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    number = ADAPTERS.setdefault(adapter, len(ADAPTERS) + 1)
    request = LoRARequest(os.path.basename(adapter), number, adapter)
    try:
        llm.llm_engine.add_lora(request)  # where it is loaded already, nothing happens
    except Exception as error:  # vLLM raises many kinds, and its workers others
        raise RefusedError(str(error), adapter) from error
    return request


ADAPTERS: dict[str, int] = {}
"""Numbers that vLLM knows adapters by."""


def generate(
    llm: Any,
    bar: Bar,
    adapter: str | None,
    prompts: list[list[int]],
    seeds: list[int],
    n: int,
    sampling: dict[str, Any],
) -> list[list[tuple[list[int], str, float]]]:
    """Per prompt n × (token ids, finish reason, summed log-probability at temperature 1)."""
    from vllm import SamplingParams

    params = [
        SamplingParams(n=n, seed=seed, logprobs=0, flat_logprobs=True, detokenize=False, **sampling)
        for seed in seeds
    ]
    asked = [{"prompt_token_ids": ids} for ids in prompts]
    answers = llm.generate(asked, params, use_tqdm=bar, lora_request=adapted(llm, adapter))
    return [
        [(list(o.token_ids), o.finish_reason, o.cumulative_logprob) for o in answer.outputs]
        for answer in answers
    ]


def score(
    llm: Any, bar: Bar, adapter: str | None, sequences: list[tuple[list[int], list[int]]]
) -> list[float]:
    """Summed log-probabilities of the second part of each sequence, given the first."""
    from vllm import SamplingParams

    # The last token is not part of the prompt but the only one that may follow it: a sequence may
    # be as long as the model, and vLLM always writes one token.
    params = [
        SamplingParams(
            max_tokens=1,
            logprobs=0,
            prompt_logprobs=0,
            allowed_token_ids=response[-1:],
            detokenize=False,
        )
        for _, response in sequences
    ]
    asked = [{"prompt_token_ids": [*prompt, *response][:-1]} for prompt, response in sequences]
    answers = llm.generate(asked, params, use_tqdm=bar, lora_request=adapted(llm, adapter))
    sums = []
    for (prompt, response), answer in zip(sequences, answers, strict=True):
        given = answer.prompt_logprobs[len(prompt) :]
        logps = [at[token].logprob for at, token in zip(given, response[:-1], strict=True)]
        sums.append(sum(logps) + answer.outputs[0].cumulative_logprob)
    return sums


def rest(llm: Any, bar: Bar) -> bool:
    """Give the GPUs' memory back and keep the weights in the machine's; whether that is so."""
    if importlib.import_module("vllm.platforms").current_platform.is_cpu():
        return True  # there is no memory but the machine's
    if able := bool(llm.llm_engine.model_config.enable_sleep_mode):
        llm.sleep(level=1)
    return able


def wake(llm: Any, bar: Bar) -> bool:
    """Take the GPUs' memory again."""
    if able := bool(llm.llm_engine.model_config.enable_sleep_mode):
        llm.wake_up()
    return able


CALLS: dict[str, Callable[..., Any]] = {
    "generate": generate,
    "score": score,
    "rest": rest,
    "wake": wake,
}


def calls() -> Iterator[dict[str, Any]]:
    """What comes in on standard input; a thread of its own reads it, to notice the end at once."""
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            waiting.put(json.loads(line))
        os._exit(0)  # what vLLM started ends with us; its own good-bye would take seconds

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield waiting.get()


def main() -> None:
    """Start vLLM, then answer calls until standard input ends."""
    wire = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # vLLM prints; its prints are no answers

    def say(**answer: Any) -> None:
        print(json.dumps(answer), file=wire, flush=True)

    coming = calls()
    settings = next(coming)
    try:
        vllm: Any = importlib.import_module("vllm")
    except ImportError as error:
        say(missing=str(error))
        return
    platform = importlib.import_module("vllm.platforms").current_platform
    settings["enable_sleep_mode"] = "enable_lora" in settings and platform.is_sleep_mode_available()
    if platform.is_cpu():
        # After a part of a prompt vLLM winds a seeded generator back, which only those of GPUs can.
        settings["enable_chunked_prefill"] = False
    llm = vllm.LLM(**settings)
    say(ready=vllm.__version__, max_model_len=llm.llm_engine.model_config.max_model_len)
    bar = progress_bar(say)
    for call in coming:
        try:
            say(result=CALLS[call.pop("call")](llm, bar, **call))
        except RefusedError as error:
            say(refused=error.args[0], adapter=error.args[1])


if __name__ == "__main__":
    # Beside this file lie modules that are none of vLLM's, whose names it must not find first.
    sys.path[:] = [p for p in sys.path if os.path.realpath(p) != os.path.dirname(__file__)]
    try:
        main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # Python would wait for threads of vLLM's, which may never end
