"""vLLM alone, as its documentation has it; run by path in vLLM's own environment.

    PYTHON vllm_alone.py MODEL N NEW_TOKENS SETTINGS

The first line in has the prompts' token ids; each further one asks for all responses once: "same"
as our generator asks, or the "least" one can ask for. Answers are `[tokens, seconds]`.
It keeps time by itself: that environment has nothing of ours.
"""

import importlib
import json
import os
import sys
import time


def main() -> None:
    """Start, then answer."""
    wire = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    model, n, new = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    settings = json.loads(sys.argv[4])
    prompts = [{"prompt_token_ids": ids} for ids in json.loads(sys.stdin.readline())]
    vllm = importlib.import_module("vllm")
    with open(os.path.join(model, "config.json")) as file:
        settings["dtype"] = json.load(file)["dtype"]  # its own, as ours; vLLM would round it
    if importlib.import_module("vllm.platforms").current_platform.is_cpu():
        settings["enable_chunked_prefill"] = False  # seeds need it there
    llm = vllm.LLM(model=model, seed=0, generation_config="vllm", **settings)
    least = [vllm.SamplingParams(n=n, max_tokens=new) for _ in prompts]
    same = [
        vllm.SamplingParams(n=n, max_tokens=new, seed=7919 * i, logprobs=0)
        for i in range(len(prompts))
    ]
    for line in sys.stdin:
        params = {"least": least, "same": same}[line.strip()]
        started = time.perf_counter()
        answers = llm.generate(prompts, params, use_tqdm=False)
        seconds = time.perf_counter() - started
        tokens = sum(len(o.token_ids) for answer in answers for o in answer.outputs)
        print(json.dumps([tokens, seconds]), file=wire, flush=True)


if __name__ == "__main__":
    main()
