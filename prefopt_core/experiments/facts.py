"""What a run or a comparison is about, as the first lines of its page."""

import time
from collections.abc import Iterator, Sequence

from prefopt_core.experiments.base import Experiment, Paid
from prefopt_core.ground.settings import Backend
from prefopt_core.reports.page import Facts


def facts_of(configs: Sequence[Experiment], made: float) -> Facts:
    """When it was, of what model and data, and who judged.

    Args:
        configs: Of the run, or of every arm of a comparison; what these differ in is left out.
        made: When the figures were computed, in seconds since 1970; shown in UTC.
    """
    first, *others = ([*_facts(config, made)] for config in configs)
    return Facts([fact for fact in first if all(fact in other for other in others)])


def _facts(config: Experiment, made: float) -> Iterator[tuple[str, str]]:
    yield "date", day_of(made)
    if isinstance(policy := getattr(config, "policy", None), Backend):
        yield "model", named(policy)
    yield "prompts", named(config.prompts)
    if isinstance(config, Paid):
        yield "labels by", named(config.annotation)
        yield "budget", f"{config.budget:,} labels"
    if config.evaluation:
        yield "held out", f"{config.evaluation.prompts:,} prompts"
        yield "graded by", named(config.evaluation)


def day_of(made: float) -> str:
    """The day in UTC, the same wherever the page is made, of seconds since 1970.

    >>> day_of(0.0)
    '1970-01-01'
    """
    return time.strftime("%Y-%m-%d", time.gmtime(made))


def named(section: Backend) -> str:
    """What a section chose, and the path or function that had to be given with it.

    >>> from prefopt_core.inputs.settings import PromptsConfig
    >>> named(PromptsConfig(params={"path": "mine.jsonl"}))
    'file: mine.jsonl'
    """
    name = getattr(section, section.choice)
    needed = [
        text
        for setting, (_, default) in section.registry.settings(name).items()
        if default is ... and isinstance(text := section.params[setting], str)
    ]
    return ": ".join([name, ", ".join(needed)]) if needed else name
