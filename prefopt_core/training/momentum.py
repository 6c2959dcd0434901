"""Accelerated preference optimisation: Nesterov's extrapolation across rounds, arXiv:2410.06293.

    π_{t+1} ∝ π̂_{t+1} · (π̂_{t+1} / π̂_t)^α,        π̂_0 = π_0

π̂ is what a round's training ends with; π samples and judges in the next round, and is where its
training starts. Done on weights, θ_{t+1} = θ̂_{t+1} + α·(θ̂_{t+1} - θ̂_t), which is the same where
logits are linear in them. LoRA adapters have been merged by then, so that it is their products that
are extrapolated.
"""

import shutil
from pathlib import Path

from prefopt_core.ground.files import explained
from prefopt_core.models.loading import load_weights, make_room, own_dtype
from prefopt_core.models.saving import save_weights


def accelerate(trained: Path, before: Path, output: Path, *, momentum: float) -> Path:
    """Go further in the direction in which a policy was trained.

    Both policies are in the CPU's memory at once, in float32.

    Args:
        trained: Model folder with whole weights, θ̂_{t+1}: what the round's training ended with.
        before: θ̂_t, that of the round before, or the policy of which the first round started.
        output: Folder that gets the policy, in the dtype of `trained`, and every other file of
            that, such as its training log.
        momentum: α >= 0; at 0 the weights are those of `trained`.

    Returns:
        `output`.

    Raises:
        StoreError: The disk is full.
    """
    import torch
    from transformers import AutoModelForCausalLM

    make_room()
    policy, earlier = (
        load_weights(AutoModelForCausalLM, folder, dtype=torch.float32)
        for folder in (trained, before)
    )
    # Of weights that layers share each once, however often the earlier policy names them.
    start = dict(earlier.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            weight += momentum * (weight - start[name])
    with explained(output):
        save_weights(policy, trained, output, own_dtype(trained))
        for file in trained.iterdir():
            if ".safetensors" not in file.name and not (output / file.name).exists():
                shutil.copyfile(file, output / file.name)
    return output
