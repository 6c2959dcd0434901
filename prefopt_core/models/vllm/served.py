"""The program of a vLLM process; run by path, by an interpreter that need not have prefopt.

    PYTHON served.py

JSON lines in and out. The first line in has the arguments of `vllm.LLM`, its answer is "ready" or
"missing"; each further line is a call of one of `CALLS`. When standard input ends, because the
parent closed it or died, the process and all its children end, even during a call.
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
    """A tqdm class for vLLM that, instead of drawing, says the finished share of the call."""
    from tqdm import tqdm

    class Progress(tqdm):  # type: ignore[misc]
        def update(self, count: float | None = 1) -> None:
            super().update(count)
            if self.iterable is None and self.total:  # the bar of responses, not of prompts
                say(done=min(1.0, self.n / self.total))

    return partial(Progress, file=open(os.devnull, "w"))


class AdapterRefusedError(Exception):
    """The LoRA adapter cannot be served by vLLM."""


def lora_request(llm: Any, adapter: str | None) -> Any:
    """The `LoRARequest` for an adapter's folder; None for None: the base model alone."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    number = ADAPTERS.setdefault(adapter, len(ADAPTERS) + 1)
    request = LoRARequest(os.path.basename(adapter), number, adapter)
    try:
        llm.llm_engine.add_lora(request)  # does nothing if it is loaded already
    except Exception as error:  # vLLM raises many kinds, and its workers others
        raise AdapterRefusedError(str(error), adapter) from error
    return request


ADAPTERS: dict[str, int] = {}
"""Folder of a LoRA adapter → its number in vLLM."""


def generate(
    llm: Any,
    bar: Bar,
    adapter: str | None,
    prompts: list[list[int]],
    seeds: list[int],
    n: int,
    never: list[int],
    sampling: dict[str, Any],
) -> list[list[tuple[list[int], str, float]]]:
    """Per prompt n × (token ids, finish reason, summed log-probability at temperature 1).

    The ids `never` are not sampled.
    """
    from vllm import SamplingParams

    every: dict[str, Any] = {"logprobs": 0, "flat_logprobs": True, "detokenize": False}
    every |= {"logit_bias": dict.fromkeys(never, -100.0) or None}
    params = [SamplingParams(n=n, seed=seed, **every, **sampling) for seed in seeds]
    asked = [{"prompt_token_ids": ids} for ids in prompts]
    answers = llm.generate(asked, params, use_tqdm=bar, lora_request=lora_request(llm, adapter))
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
    answers = llm.generate(asked, params, use_tqdm=bar, lora_request=lora_request(llm, adapter))
    sums = []
    for (prompt, response), answer in zip(sequences, answers, strict=True):
        given = answer.prompt_logprobs[len(prompt) :]
        logps = [at[token].logprob for at, token in zip(given, response[:-1], strict=True)]
        sums.append(sum(logps) + answer.outputs[0].cumulative_logprob)
    return sums


def sleep(llm: Any, bar: Bar) -> bool:
    """Move the weights from GPU to CPU memory (vLLM's sleep mode); False if unsupported."""
    if importlib.import_module("vllm.platforms").current_platform.is_cpu():
        return True  # there is no GPU memory
    if able := bool(llm.llm_engine.model_config.enable_sleep_mode):
        llm.sleep(level=1)
    return able


def wake(llm: Any, bar: Bar) -> bool:
    """Move the weights back to GPU memory; False if sleep mode is not supported."""
    if able := bool(llm.llm_engine.model_config.enable_sleep_mode):
        llm.wake_up()
    return able


CALLS: dict[str, Callable[..., Any]] = {
    "generate": generate,
    "score": score,
    "sleep": sleep,
    "wake": wake,
}


def calls() -> Iterator[dict[str, Any]]:
    """Messages from standard input; a thread of its own reads it, to notice its end at once."""
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            waiting.put(json.loads(line))
        os._exit(0)  # skips vLLM's shutdown, which takes seconds; its processes end with this one

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield waiting.get()


def main() -> None:
    """Start vLLM, then answer calls until standard input ends."""
    wire = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what vLLM prints goes to stderr: stdout has answers only

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
        # With chunked prefill vLLM resets the offset of seeded generators, which CPU ones lack.
        settings["enable_chunked_prefill"] = False
    llm = vllm.LLM(**settings)
    say(ready=vllm.__version__, max_model_len=llm.llm_engine.model_config.max_model_len)
    bar = progress_bar(say)
    for call in coming:
        try:
            say(result=CALLS[call.pop("call")](llm, bar, **call))
        except AdapterRefusedError as error:
            say(refused=error.args[0], adapter=error.args[1])


if __name__ == "__main__":
    # Take this folder off sys.path: its modules must not shadow those that vLLM imports.
    sys.path[:] = [p for p in sys.path if os.path.realpath(p) != os.path.dirname(__file__)]
    try:
        main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # Python would wait for threads of vLLM's, which may never end
