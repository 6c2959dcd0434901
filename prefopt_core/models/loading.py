"""Loading language models for generation and scoring: a cache of one, freed before training."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.turns import in_turn
from prefopt_core.models.adapters import adapter_in, weights_of
from prefopt_core.models.folder import NO_CODE, refuse_code

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@runtime_checkable
class OutOfProcess(Protocol):
    """A model in another process, such as a vLLM engine."""

    def close(self) -> None:
        """End that process; returns when its memory is free."""

    def sleep(self) -> bool:
        """Free the GPUs' memory and keep the process; False if it cannot (vLLM's sleep mode)."""


_loaded: dict[tuple[Path | str, str, str], Any] = {}  # at most one
_sleeping: dict[tuple[Path | str, str, str], OutOfProcess] = {}  # at most one
_beside: list[Callable[[], None]] = []


def load_model(folder: Path, device: str = "auto") -> "PreTrainedModel":
    """Load a causal language model in its own dtype, for inference; the last one stays loaded.

    Args:
        folder: Weights, config and tokenizer; or a LoRA adapter's folder, loaded unmerged.
        device: "cpu", "cuda", …; "auto" spreads it over the GPUs there are, else the CPU.

    Raises:
        ConfigError: The model cannot be loaded, or lacks weights.
    """
    model: PreTrainedModel = load_once((folder, device, "policy"), lambda: _load(folder, device))
    return model


def load_once(key: tuple[Path | str, str, str], load: Callable[[], Any]) -> Any:
    """The model for a key (source, device, use); calls `load` unless it was the last loaded."""
    if key not in _loaded:
        make_room()  # before the next one is there: two may not fit
        _loaded[key] = _sleeping.pop(key) if key in _sleeping else load()
    return _loaded[key]


def _load(folder: Path, device: str) -> "PreTrainedModel":
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    place = device
    if device == "auto":
        place = "auto" if torch.cuda.is_available() else "cpu"
    base = load_weights(AutoModelForCausalLM, weights_of(folder), device_map=place)
    model: PreTrainedModel = adapted(base, folder).get_base_model() if adapter_in(folder) else base
    # Sampling is set by the run. Of the model's generation_config.json only the end tokens stay:
    # transformers would silently mix its repetition penalties or beams with our settings.
    ends = model.generation_config.eos_token_id if model.generation_config else None
    model.generation_config = GenerationConfig(eos_token_id=ends)  # type: ignore[no-untyped-call]
    return model


def load_weights(kind: Any, source: Path | str, **options: Any) -> Any:
    """Load a model by a transformers auto class, in its own dtype, for inference.

    Args:
        kind: The auto class.
        source: A folder or hub id.
        options: Passed on to `from_pretrained`; a `dtype` there counts in place of its own.

    Raises:
        ConfigError: The model cannot be loaded, or lacks weights, which transformers would draw at
            random.
    """
    from safetensors import SafetensorError

    silence_libraries()
    told = {"dtype": "auto", **options, **NO_CODE}
    try:
        with in_turn():
            model, found = kind.from_pretrained(source, output_loading_info=True, **told)
    except (
        ImportError,  # quantised weights need packages of their own
        OSError,
        ValueError,
        RuntimeError,
        AssertionError,
        SafetensorError,
        UnpicklingError,  # pickled weights that are more than weights
    ) as error:
        refuse_code(source, error)
        raise ConfigError(
            f"Cannot load {source} by {kind.__name__}: {error} It must be a folder or hub id of "
            "such a model, with config.json and weights that fit it."
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise ConfigError(
            f"{source} lacks {len(missing)} weights of a model for {kind.__name__}, such as "
            f"{missing[0]}; they would be drawn at random. Give a model that was trained for this."
        )
    return model.eval()


def own_dtype(folder: Path) -> "torch.dtype":
    """The dtype of the weights in a folder, as transformers would load them by itself."""
    import torch
    from safetensors import safe_open
    from transformers import AutoConfig

    if kind := getattr(AutoConfig.from_pretrained(folder, **NO_CODE), "dtype", None):
        return getattr(torch, str(kind).removeprefix("torch."))
    with safe_open(next(folder.glob("*.safetensors")), "pt") as weights:
        return weights.get_tensor(next(iter(weights.keys()))).dtype


def adapted(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """PEFT's model of the LoRA adapter in `folder` on its base model; the adapter is float32."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder, is_trainable=trainable)


def make_room() -> None:
    """Free the GPU memory of the loaded model, for training or for loading another one.

    A vLLM engine that serves adapters is put to sleep instead of ended: the next round serves
    another adapter of the same base model.
    """
    for free in _beside:
        free()
    engines = {k: m for k, m in _loaded.items() if isinstance(m, OutOfProcess) and m.sleep()}
    for key in engines:
        del _loaded[key]
    if engines:
        _end_sleeping()
        _sleeping.update(engines)
    _drop_loaded()


@contextmanager
def beside(free: Callable[[], None]) -> Iterator[None]:
    """Within the block, `free` ends what other processes of this run hold where room is made."""
    _beside.append(free)
    try:
        yield
    finally:
        _beside.remove(free)


def release_models() -> None:
    """Unload all models and end all engines, also those that sleep."""
    _drop_loaded()
    _end_sleeping()


def _end_sleeping() -> None:
    for engine in _sleeping.values():
        engine.close()
    _sleeping.clear()


def _drop_loaded() -> None:
    if not _loaded:
        return
    import gc

    for model in _loaded.values():
        if isinstance(model, OutOfProcess):
            model.close()
    _loaded.clear()
    gc.collect()
    give_memory_back()


def give_memory_back() -> None:
    """Return cached GPU memory from torch's allocator to the driver, for other processes.

    A key-value cache that grows by the token fragments the allocator: 53 GiB of unused blocks
    were seen in one of eight processes on a GPU, while another one ran out of memory.
    """
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def silence_libraries() -> None:
    """Disable the progress bars of Hugging Face libraries, and what they tell each other."""
    from transformers.utils import logging

    # Such as that TRL and PEFT use names which transformers will drop: no user can mend that.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
