"""What the columns of a config's files are read as: what `prefopt plan` says of its inputs."""

from pathlib import Path

from prefopt_core.experiments.base import Experiment
from prefopt_core.inputs.layouts import describe_candidates, describe_pairs, describe_prompts


def read_as(config: Experiment) -> list[str]:
    """A line for every file of prompts, candidates or preferences.

    Raises:
        DataError: One cannot be read, or nobody can be certain what its columns are.
    """
    lines = []
    prompts, given = config.prompts, config.generation.params
    pool = given["path"] if config.generation.generator == "file" else None
    if prompts.source == "file" and prompts.params["path"] != pool:
        params = {name: prompts.params[name] for name in ("column", "stratum")}
        lines.append(describe_prompts(Path(prompts.params["path"]), **params))
    if pool:
        lines.append(describe_candidates(Path(pool), given["column"], given["responses"]))
    if seed := getattr(config, "seed_preferences", None):
        lines.append(describe_pairs(Path(seed.path), seed.column))
    return lines
