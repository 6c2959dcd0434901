"""vLLM engines in processes of their own, for generation and scoring.

An engine may run in another Python environment, as vLLM, trl and transformers seldom install
together. It stays between shards and stages until another model is needed or training needs the
GPU memory; then its processes end.

A policy that is a LoRA adapter is served on its base model. An engine that serves adapters sleeps
(vLLM's sleep mode) instead of ending: the base model is loaded once, and each round sends its
adapter.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prefopt_core.ground.errors import ConfigError, PrefoptError
from prefopt_core.ground.progress import report_progress
from prefopt_core.models.adapters import Adapter, adapter_in, weights_of
from prefopt_core.models.folder import NO_CODE
from prefopt_core.models.loading import load_once, release_models
from prefopt_core.models.threads import SMALL_MODEL
from prefopt_core.models.vllm.interpreter import interpreter
from prefopt_core.models.vllm.link import Link, environment
from prefopt_core.models.vllm.settings import EngineSettings


@dataclass(frozen=True)
class Adapters:
    """Which LoRA adapters an engine can serve.

    Attributes:
        rank: The largest rank; 0: no adapters, which is a little faster.
        modules: Names of the layers that may be adapted, last component only. Not all layers,
            since vLLM would then compute the logits as if the output layer was adapted, too.
    """

    rank: int = 0
    modules: frozenset[str] = frozenset()

    def covering(self, adapter: Adapter) -> "Adapters":
        """These and `adapter`.

        Raises:
            ConfigError: Its rank is larger than vLLM serves.
        """
        rank = next((rank for rank in _RANKS if rank >= adapter.rank), None)
        if rank is None:
            raise ConfigError(
                f"vLLM serves adapters up to rank {_RANKS[-1]}, and {adapter.folder} has "
                f"{adapter.rank}. Lower `training.lora.r`, or set `training.lora.merge: true`."
            )
        return Adapters(max(self.rank, rank), self.modules | adapter.modules)

    def for_vllm(self) -> dict[str, Any]:
        """These limits as arguments of `vllm.LLM`."""
        if not self.rank:
            return {}
        modules = sorted(self.modules)
        return {"enable_lora": True, "max_lora_rank": self.rank, "lora_target_modules": modules}


_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # for which vLLM has LoRA kernels
_wanted: dict[Path, Adapters] = {}  # folder of a base model → adapters asked for so far


def engine_for(model: Path, settings: EngineSettings) -> "Engine":
    """The engine that serves a model with those settings; the last one stays loaded.

    LoRA adapters of one base model, and the base model alone, share an engine. An engine that was
    started without adapters is restarted once, when the first adapter comes.

    Args:
        model: Folder of whole weights, or of an adapter.
        settings: Of the engine.

    Raises:
        ConfigError: There is no such interpreter, too few GPUs, or the adapter's rank is too large.
        MissingExtraError: The interpreter cannot import vLLM.
        StoreError: The adapter's base model is not in the store.
        PrefoptError: The engine ended while it started.
    """
    settings = replace(settings, python=interpreter(settings.python))
    weights, adapter = weights_of(model), adapter_in(model)
    adapters = _wanted.get(weights, Adapters())
    if adapter:
        adapters = _wanted[weights] = adapters.covering(adapter)
    told = asdict(settings) | adapters.for_vllm()

    def start() -> Engine:
        release_models()  # sleeping engines as well
        try:
            return Engine(weights, settings, adapters)
        except PrefoptError as error:
            if "lora" not in str(error).lower():
                raise
            raise PrefoptError(
                f"{error}\nIf vLLM has no adapters for this model, or is too old for them, set "
                "`training.lora.merge: true`: what was written and labelled stays."
            ) from error

    engine: Engine = load_once((weights, json.dumps(told), "vllm"), start)
    engine.adapter = str(adapter.folder) if adapter else None
    return engine


class Engine:
    """vLLM on one model: a process per copy (`data_parallel_size`).

    Attributes:
        adapter: Folder of the LoRA adapter that calls use; None: the base model alone.
        max_model_len: The most tokens of prompt and response together.
    """

    def __init__(self, model: Path, settings: EngineSettings, adapters: Adapters) -> None:
        self.adapter: str | None = None
        self._adapters, self._sleeping = adapters, False
        told = settings.for_vllm(model) | adapters.for_vllm()
        told |= {
            "model": str(model),
            "skip_tokenizer_init": True,  # token ids in, token ids out
            "generation_config": "vllm",  # ignore the sampling defaults of generation_config.json
            "load_format": "safetensors",  # never pickled weights
            **NO_CODE,
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
        """Call a function of `served.CALLS` in every copy, on its part of the lists in `dealt`.

        Any failure ends the engine: the next call starts a new one.

        Args:
            call: Name of the function.
            dealt: Its arguments that are divided among the copies: lists of equal length.
            same: Its arguments that every copy gets.

        Returns:
            A result per item of the lists, in their order.

        Raises:
            ConfigError: vLLM does not take the adapter.
            PrefoptError: A process ended.
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
                wait(
                    jobs, return_when=FIRST_EXCEPTION
                )  # do not wait for other copies after a failure
                for job in jobs:
                    job.result()
            except BaseException:
                release_models()
                raise
        return results

    def sleep(self) -> bool:
        """Sleep: move the weights from GPU to CPU memory; False if no adapters are served.

        An engine without adapters is of no more use: the next round has other weights.
        """
        if not self._sleeping and self._adapters.rank:
            with suppress(PrefoptError):  # a process that died is closed by the caller
                self._sleeping = all(self._tell("sleep"))
        return self._sleeping

    def _wake(self) -> None:
        if self._sleeping:
            self._tell("wake")
            self._sleeping = False

    def _tell(self, call: str) -> list[bool]:
        for link in self._links:
            link.send({"call": call})
        return [link.receive()["result"] for link in self._links]

    def close(self) -> None:
        """End the processes; returns when they have ended and their memory is free."""
        for link in self._links:
            link.close()


def _threads(model: Path) -> dict[str, str]:
    """OMP_NUM_THREADS=1 for a small model on a CPU; see `models.threads`."""
    size = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    return {"OMP_NUM_THREADS": "1"} if size < 4 * SMALL_MODEL else {}


def _places(tensor_parallel: int, copies: int, python: str) -> list[dict[str, str]]:
    """CUDA_VISIBLE_DEVICES of each copy."""
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
    """GPU numbers as vLLM's interpreter sees them; our own torch may be for CPUs."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    command = [python, "-c", "import torch; print(torch.cuda.device_count())"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    # Without torch there is no vLLM either; starting the engine then fails with that message.
    return [str(number) for number in range(int(done.stdout.split()[-1] if done.stdout else 0))]
