"""Dividing the prompts among the rounds and the test set."""

import polars as pl

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.randomness import rng_for


def draw(
    prompts: pl.DataFrame,
    first: int,
    count: int | None,
    purpose: str,
    *,
    seed: int,
    used: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Take the prompts at places `first` … `first + count - 1` of an order drawn from `seed`.

    Args:
        prompts: The `prompts` table.
        first: Prompts that others take before.
        count: Prompts wanted; None takes all that are left.
        purpose: What for, in the user's words, for the error.
        seed: Root of the order; a prompt's own draw depends on its id and nothing else.
        used: A table whose prompts may not be drawn: the labelled seed was learned from.
    """
    if used is not None:
        prompts = prompts.filter(~pl.col("prompt_id").is_in(set(used["prompt_id"])))
    if count is None:
        count = max(1, prompts.height - first)
    if first + count > prompts.height:
        raise ConfigError(
            f"There are {prompts.height} prompts; {purpose} wants {count} after the {first} that "
            "are taken before. Bring more prompts, or lower `prompts` of the rounds or of "
            "`evaluation`."
        )
    ids = prompts["prompt_id"].to_list()
    draws = {prompt_id: rng_for(seed, "prompts", prompt_id).random() for prompt_id in ids}
    order = sorted(range(len(ids)), key=lambda i: (draws[ids[i]], ids[i]))
    return prompts[order[first : first + count]]
