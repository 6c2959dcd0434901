"""vLLM as generator and scorer use it: in processes of its own, kept while the model is wanted.

The engine may live in an environment of its own, as vLLM, trl and transformers seldom install
together. It stays between shards and stages, until another model is wanted or training needs the
memory; then its processes end, and what they held is free.

A policy that is an adapter is served beside the weights it belongs to. An engine that does that
rests where another would end: the weights are loaded once, and every round sends its adapter.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from prefopt_core.ground.errors import ConfigError, PrefoptError
from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.models.adapters import Adapter, adapter_in, weights_of
from prefopt_core.models.loading import kept, release_models
from prefopt_core.models.threads import SMALL
from prefopt_core.models.vllm.link import Link, environment

PYTHON = "PREFOPT_VLLM_PYTHON"
"""The environment variable that names the interpreter, where no setting does."""

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class EngineSettings:
    """How an engine runs; settings of every member that uses one. Names are vLLM's, but `python`.

    Attributes:
        dtype: Of weights and activations; "auto" is the model's own.
        python: Interpreter that has vLLM; None: $PREFOPT_VLLM_PYTHON, else this one.
        max_model_len: Tokens of prompt and response; None: as many as the model takes.
        max_num_seqs: Sequences worked on at once; None: vLLM's choice.
        max_num_batched_tokens: Tokens of one forward pass; None: vLLM's choice.
        gpu_memory_utilization: Share of each GPU's memory that the engine takes.
        tensor_parallel_size: GPUs that share one copy of the model.
        data_parallel_size: Copies of the model, each on GPUs of its own; prompts are dealt out.
        enforce_eager: Starts faster and runs slower: nothing is compiled.
    """

    dtype: Dtype = "auto"
    python: SpeedOnly[str | None] = None
    max_model_len: SpeedOnly[PositiveInt | None] = None
    max_num_seqs: SpeedOnly[PositiveInt | None] = None
    max_num_batched_tokens: SpeedOnly[PositiveInt | None] = None
    gpu_memory_utilization: SpeedOnly[Share] = 0.9
    tensor_parallel_size: SpeedOnly[PositiveInt] = 1
    data_parallel_size: SpeedOnly[PositiveInt] = 1
    enforce_eager: SpeedOnly[bool] = False

    def for_vllm(self, model: Path) -> dict[str, Any]:
        """What `vllm.LLM` is told of it; None leaves the choice to vLLM."""
        ours = ("python", "data_parallel_size")
        told = {k: v for k, v in asdict(self).items() if k not in ours and v is not None}
        return told | {"dtype": _own_dtype(model)} if self.dtype == "auto" else told


@dataclass(frozen=True)
class Adapters:
    """Which adapters an engine can serve.

    Attributes:
        rank: The largest; 0: none, which is a little faster.
        modules: Last names of the layers they may adapt. Not all, since vLLM would then compute
            the logits as if the output layer was adapted, too.
    """

    rank: int = 0
    modules: frozenset[str] = frozenset()

    def covering(self, adapter: Adapter) -> "Adapters":
        """These and one more."""
        rank = next((rank for rank in _RANKS if rank >= adapter.rank), None)
        if rank is None:
            raise ConfigError(
                f"vLLM serves adapters up to rank {_RANKS[-1]}, and {adapter.folder} has "
                f"{adapter.rank}. Lower `training.lora.r`, or set `training.lora.merge: true`."
            )
        return Adapters(max(self.rank, rank), self.modules | adapter.modules)

    def for_vllm(self) -> dict[str, Any]:
        """What `vllm.LLM` is told of it."""
        if not self.rank:
            return {}
        modules = sorted(self.modules)
        return {"enable_lora": True, "max_lora_rank": self.rank, "lora_target_modules": modules}


_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM has kernels for
_wanted: dict[Path, Adapters] = {}  # so far, by the folder of the weights


def engine_for(model: Path, settings: EngineSettings) -> "Engine":
    """The engine that serves that model with those settings: kept until others are wanted.

    Policies that are adapters of the same weights share one, among themselves and with the weights
    alone. The first adapter may find one that can serve none; it is started again, once.
    """
    settings = replace(settings, python=_interpreter(settings.python))
    weights, adapter = weights_of(model), adapter_in(model)
    adapters = _wanted.get(weights, Adapters())
    if adapter:
        adapters = _wanted[weights] = adapters.covering(adapter)
    told = asdict(settings) | adapters.for_vllm()

    def start() -> Engine:
        release_models()  # one that rests as well
        try:
            return Engine(weights, settings, adapters)
        except PrefoptError as error:
            if "lora" not in str(error).lower():
                raise
            raise PrefoptError(
                f"{error}\nIf vLLM has no adapters for this model, or is too old for them, set "
                "`training.lora.merge: true`: what was written and labelled stays."
            ) from error

    engine: Engine = kept((weights, json.dumps(told), "vllm"), start)
    engine.adapter = str(adapter.folder) if adapter else None
    return engine


class Engine:
    """vLLM on one model: as many processes as there are copies.

    Attributes:
        adapter: Folder of the adapter that calls are answered with; None: the model as it is.
        max_model_len: Tokens that prompt and response may have together.
    """

    def __init__(self, model: Path, settings: EngineSettings, adapters: Adapters) -> None:
        self.adapter: str | None = None
        self._adapters, self._resting = adapters, False
        told = settings.for_vllm(model) | adapters.for_vllm()
        told |= {
            "model": str(model),
            "skip_tokenizer_init": True,  # token ids in, token ids out
            "generation_config": "vllm",  # the author's advice on sampling is not mixed in
            "load_format": "safetensors",  # never pickled weights
            "logprobs_mode": "raw_logprobs",  # before temperature and truncation
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "seed": 0,
        }
        assert settings.python
        places = _places(
            settings.tensor_parallel_size, settings.data_parallel_size, settings.python
        )
        threads = _threads(model)
        self._links = [Link(settings.python, str(model), place, threads) for place in places]
        try:
            for link in self._links:
                link.send(told)
            ready = [link.receive() for link in self._links]
        except BaseException:
            self.close()
            raise
        self.max_model_len: int = ready[0]["max_model_len"]

    def ask(self, call: str, dealt: dict[str, Sequence[Any]], **same: Any) -> list[Any]:
        """Have every copy work on its part of the lists in `dealt`; results in their order.

        Whatever goes wrong ends the engine: the next call starts a new one.
        """
        total = len(next(iter(dealt.values())))
        done = [0.0] * len(self._links)
        results: list[Any] = [None] * total

        def work(number: int) -> None:
            def progressed(share: float) -> None:
                done[number] = share
                report_progress(int(total * sum(done) / len(done)), total)

            part = slice(number, None, len(self._links))
            mine = {name: list(values[part]) for name, values in dealt.items()}
            self._links[number].send({"call": call, "adapter": self.adapter, **mine, **same})
            results[part] = self._links[number].receive(progressed)["result"]

        with ThreadPoolExecutor(len(self._links)) as pool:
            try:
                self._wake()
                jobs = [
                    pool.submit(copy_context().run, work, number)
                    for number in range(min(total, len(self._links)))
                ]
                wait(jobs, return_when=FIRST_EXCEPTION)  # or one that works on would hide it
                for job in jobs:
                    job.result()
            except BaseException:
                release_models()
                raise
        return results

    def rest(self) -> bool:
        """Give the GPUs' memory back, keeping the weights in the machine's, if adapters are served.

        An engine without adapters would be of no more use: the next round has other weights.
        """
        if not self._resting and self._adapters.rank:
            with suppress(PrefoptError):  # one that died is closed
                self._resting = all(self._tell("rest"))
        return self._resting

    def _wake(self) -> None:
        if self._resting:
            self._tell("wake")
            self._resting = False

    def _tell(self, call: str) -> list[bool]:
        for link in self._links:
            link.send({"call": call})
        return [link.receive()["result"] for link in self._links]

    def close(self) -> None:
        """End the processes; returns when they are gone, and their memory with them."""
        for link in self._links:
            link.close()


def _interpreter(named: str | None) -> str:
    wanted = named or os.environ.get(PYTHON) or sys.executable
    found = shutil.which(os.path.expanduser(wanted))
    if found is None:
        raise ConfigError(
            f"There is no interpreter {wanted!r} to run vLLM with. Set `generation.params.python` "
            f"(and `scoring.params.python`), or ${PYTHON}, to the python of an environment that "
            "has vLLM."
        )
    return found


def _threads(model: Path) -> dict[str, str]:
    """One thread for a small model, as everywhere: more would wait for each other, on a CPU."""
    size = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    return {"OMP_NUM_THREADS": "1"} if size < 4 * SMALL else {}


_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def _own_dtype(model: Path) -> str:
    """What the weights are kept in; vLLM's own "auto" would round float32 to 16 bits."""
    from safetensors import safe_open
    from transformers import AutoConfig

    if kind := getattr(AutoConfig.from_pretrained(model), "dtype", None):
        return str(kind).removeprefix("torch.")
    with safe_open(next(model.glob("*.safetensors")), "pt") as weights:  # as transformers does
        return _DTYPES.get(weights.get_slice(next(iter(weights.keys()))).get_dtype(), "auto")


def _places(tensor_parallel: int, copies: int, python: str) -> list[dict[str, str]]:
    """What each copy's environment says about its GPUs."""
    gpus = _gpus(python) if copies > 1 else []
    if not gpus:
        return [{}] * copies
    if len(gpus) < copies * tensor_parallel:
        raise ConfigError(
            f"{copies} copies on {tensor_parallel} GPUs each need {copies * tensor_parallel}, and "
            f"there are {len(gpus)}. Lower `data_parallel_size` or `tensor_parallel_size`."
        )
    parts = [gpus[i * tensor_parallel : (i + 1) * tensor_parallel] for i in range(copies)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(part)} for part in parts]


def _gpus(python: str) -> list[str]:
    """As vLLM's interpreter sees them; ours may have a torch for CPUs."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    command = [python, "-c", "import torch; print(torch.cuda.device_count())"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    # Without torch it has no vLLM either, and the engine says so.
    return [str(number) for number in range(int(done.stdout.split()[-1] if done.stdout else 0))]
