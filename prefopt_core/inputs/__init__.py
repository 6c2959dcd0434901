"""Inputs: prompts, responses, preferences and embeddings of the user. `PROMPT_SOURCES`."""

from collections.abc import Callable

import polars as pl

from prefopt_core.ground.registry import Registry

PromptSource = Callable[..., pl.DataFrame]
"""`(seed, *, **params) -> pl.DataFrame`, the table `prompts`."""

PROMPT_SOURCES: Registry[PromptSource] = Registry(
    "prompt source",
    {
        "file": "prefopt_core.inputs.prompts:from_file",
        "helpdesk": "prefopt_core.worlds.helpdesk.prompts:load",
        "hub": "prefopt_core.inputs.prompts:from_hub",
        "mixture": "prefopt_core.inputs.mixture:from_mixture",
        "smollm": "prefopt_core.worlds.smollm.instructions:load",
        "stories": "prefopt_core.worlds.stories.openings:load",
    },
    "prefopt.prompts",
)

__all__ = ["PROMPT_SOURCES", "PromptSource"]
