"""Model folders: loaded for generation and scoring, one at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from prefopt_core.ground.errors import ConfigError
from prefopt_core.models.adapters import adapter_in, weights_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@runtime_checkable
class OutOfProcess(Protocol):
    """A model that another process holds."""

    def close(self) -> None:
        """End that process; returns when its memory is free."""

    def rest(self) -> bool:
        """Give the memory of the accelerator back and stay; False if that cannot be."""


_loaded: dict[tuple[Path | str, str, str], Any] = {}  # at most one
_resting: dict[tuple[Path | str, str, str], OutOfProcess] = {}  # at most one


def load_model(folder: Path, device: str = "auto") -> "PreTrainedModel":
    """A causal language model in its own dtype, ready for inference; the last one is kept.

    Args:
        folder: Weights, config and tokenizer; or an adapter's, which is not merged.
        device: "cpu", "cuda", …; "auto" spreads it over the GPUs there are, else the CPU.
    """
    model: PreTrainedModel = kept((folder, device, "policy"), lambda: _load(folder, device))
    return model


def kept(key: tuple[Path | str, str, str], load: Callable[[], Any]) -> Any:
    """The model of that (source, device, use): loaded once, until another is wanted."""
    if key not in _loaded:
        make_room()  # before the next one is there: two may not fit
        _loaded[key] = _resting.pop(key) if key in _resting else load()
    return _loaded[key]


def _load(folder: Path, device: str) -> "PreTrainedModel":
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    place = device
    if device == "auto":
        place = "auto" if torch.cuda.is_available() else "cpu"
    base = load_weights(AutoModelForCausalLM, weights_of(folder), device_map=place)
    model: PreTrainedModel = adapted(base, folder).get_base_model() if adapter_in(folder) else base
    # How to sample is a setting of the run; of the author's advice (repetition penalties, beams)
    # only what ends a response stays, or it would be mixed with ours in silence.
    ends = model.generation_config.eos_token_id if model.generation_config else None
    model.generation_config = GenerationConfig(eos_token_id=ends)  # type: ignore[no-untyped-call]
    return model


def load_weights(kind: Any, source: Path | str, **options: Any) -> Any:
    """Load a model of an auto class, in its own dtype, for inference, complete or not at all."""
    from safetensors import SafetensorError

    silence_libraries()
    try:
        model, found = kind.from_pretrained(
            source, dtype="auto", output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
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


def adapted(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """PEFT's model of an adapter on `model`, its base; the adapter stays in float32."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder, is_trainable=trainable)


def make_room() -> None:
    """Give the memory of loaded models back, so that training finds it free.

    An engine that can give it back and stay, stays: its weights will be wanted again.
    """
    engines = {k: m for k, m in _loaded.items() if isinstance(m, OutOfProcess) and m.rest()}
    for key in engines:
        del _loaded[key]
    if engines:
        _end_resting()
        _resting.update(engines)
    _drop_loaded()


def release_models() -> None:
    """End all of them, also engines that rest."""
    _drop_loaded()
    _end_resting()


def _end_resting() -> None:
    for engine in _resting.values():
        engine.close()
    _resting.clear()


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
    """Give GPU memory that torch has freed, but keeps, to whoever wants it.

    A cache that grows by the token leaves pieces that fit nothing: 53 GiB of them were seen in one
    of eight processes on a GPU, and another one found none.
    """
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def silence_libraries() -> None:
    """Keep Hugging Face libraries from drawing progress bars between ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
