"""Drawing disjoint sets of prompts: for evaluation, and for each round."""

from collections.abc import Sequence

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
    used: Sequence[pl.DataFrame] = (),
) -> pl.DataFrame:
    """Take the prompts at places `first` … `first + count - 1` of an order drawn from `seed`.

    Args:
        prompts: Table `prompts`.
        first: Place of the first prompt to take; those before are drawn for other purposes.
        count: Prompts to take; None takes all that are left.
        purpose: What the prompts are for, for the error message.
        seed: Root of the order; a prompt's own draw depends on its id and nothing else.
        used: Tables with `prompt_id` of prompts to leave out: those of the labelled seed, or of
            earlier runs.

    Returns:
        Table `prompts`, in the drawn order.

    Raises:
        ConfigError: There are fewer prompts than `first + count`.
    """
    prompts = without(prompts, used)
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


def without(prompts: pl.DataFrame, used: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Table `prompts` without the prompts of other tables with `prompt_id`."""
    gone = {prompt_id for table in used for prompt_id in table["prompt_id"]}
    return prompts.filter(~pl.col("prompt_id").is_in(gone)) if gone else prompts
