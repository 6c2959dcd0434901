"""Saving whole weights: adapters merged in float32, the start's configuration with their dtype."""

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefopt_core.models.folder import NO_CODE

if TYPE_CHECKING:
    import torch

GENERATION = "generation_config.json"


def merged(policy: Any) -> Any:
    """PEFT's model with its LoRA adapters merged into its weights, in float32.

    Adapted embeddings whose weights the output layer shares become the input's alone: merged into
    both, they would make a policy that was not trained.
    """
    import torch

    policy.float()
    model: Any = policy.get_base_model()
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    shared = getattr(getattr(embeddings, "base_layer", None), "weight", None)
    if shared is not None and head is not None and head.weight is shared:
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
    with warnings.catch_warnings():  # of layers that share weights, which is settled here
        warnings.simplefilter("ignore")
        return policy.merge_and_unload()


def save_weights(model: Any, start: Path, output: Path, dtype: "torch.dtype") -> None:
    """Write a model's weights as safetensors in `dtype`, with the configuration files of `start`.

    config.json names the dtype, as whoever loads the folder takes it from there.
    """
    from transformers import AutoConfig, GenerationConfig

    model.config = AutoConfig.from_pretrained(
        start, **NO_CODE
    )  # TRL has written a padding token into it
    if not _tied(model):
        for part in (model.config, model.config.get_text_config()):
            part.tie_word_embeddings = False
    # Copied, not read: transformers refuses to write some of those that it has published.
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    model.to(dtype).save_pretrained(output)
    (output / GENERATION).unlink(missing_ok=True)
    if (start / GENERATION).is_file():
        shutil.copyfile(start / GENERATION, output / GENERATION)


def _tied(model: Any) -> bool:
    """Whether input and output share their weights, or there is nothing to share."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return None in layers or layers[0].weight is layers[1].weight
