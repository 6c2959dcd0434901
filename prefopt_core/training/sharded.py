"""Policies of which each process holds a part: made whole to look at them, and to save them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from peft import PeftModel, get_peft_model
from torch.distributed.fsdp import FSDPModule
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from prefopt_core.training.adapters import new_adapters
from prefopt_core.training.launch_settings import SHARDED
from prefopt_core.training.settings import TrainingConfig


def is_shared(model: Any) -> bool:
    """Whether each process holds a part, so that a pass is one of all of them together."""
    return isinstance(model, FSDPModule)


@contextmanager
def unsharded(model: Any) -> Iterator[None]:
    """Within the block embeddings and output layer are whole, where FSDP has cut them in parts.

    Its own hooks gather them for a pass through the whole model alone.
    """
    if not is_shared(model):
        yield
        return
    model.unshard()
    try:
        yield
    finally:
        model.reshard()


def whole(trainer: Any, config: TrainingConfig, load: Callable[[], Any]) -> Any:
    """The policy that a trainer has trained.

    Args:
        trainer: Of `config`; all processes call this.
        config: How it was trained.
        load: Loads the policy as it was before.

    Returns:
        The policy; if it is in parts, put together for the first process, None for the others.
    """
    if config.launch.strategy not in SHARDED:
        return trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    state = trainer.accelerator.get_state_dict(trainer.model)
    # Else what is loaded from here on is cut in parts, too.
    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]
    if not trainer.is_world_process_zero():
        return None
    policy = load()
    if config.lora and not isinstance(policy, PeftModel):
        policy = get_peft_model(policy, new_adapters(config.lora))
    policy.load_state_dict({name: w for name, w in state.items() if ".ref." not in name})
    return policy
