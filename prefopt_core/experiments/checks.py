"""What can be seen of a run before it starts: files, functions, folders; no model is loaded."""

from collections.abc import Iterator
from pathlib import Path

from prefopt_core.annotation.identity import doubts_of_labels
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.experiments.flows import Experiment
from prefopt_core.ground.errors import ConfigError, PrefoptError
from prefopt_core.ground.settings import Config
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.prompts import QUICK_BYTES
from prefopt_core.inputs.settings import SeedConfig
from prefopt_core.labels.store import LabelStore


def check(experiment: Experiment, kept: LabelStore) -> list[str]:
    """Look at everything that a config names, section by section (`Config.check`).

    Args:
        experiment: The config.
        kept: The labels bought so far.

    Returns:
        What is doubtful, a sentence each, with the section it is about.

    Raises:
        ConfigError: Something is certainly wrong; all that is, a line each.
    """
    problems: list[str] = []
    doubts: list[str] = []
    for where, section in _sections(experiment):
        try:
            doubts += [f"{where}: {doubt}" for doubt in section.check()]
            if isinstance(section, SeedConfig):
                read_preferences(section)
            if isinstance(section, AnnotationConfig):
                doubts += [f"{where}: {doubt}" for doubt in doubts_of_labels(section, kept)]
        except PrefoptError as error:
            problems.append(f"{where}: {error}")
    if not problems:
        problems += _too_few_prompts(experiment)
    if problems:
        raise ConfigError("\n".join(problems))
    return doubts


def _sections(config: Config, where: str = "") -> Iterator[tuple[str, Config]]:
    for name in type(config).model_fields:
        section = getattr(config, name)
        if isinstance(section, Config):
            place = f"{where}.{name}" if where else name
            yield place, section
            yield from _sections(section, place)


def _too_few_prompts(experiment: Experiment) -> Iterator[str]:
    """That a round would find no prompts left, which otherwise shows when it is its turn."""
    stop = experiment.evaluation.stop if experiment.evaluation else "never"
    if experiment.prompts.source != "file" or stop != "never":  # it may end before
        return
    if Path(experiment.prompts.params["path"]).stat().st_size <= QUICK_BYTES:
        there = experiment.prompts.member()(experiment.seed).height
        if there < experiment.wanted_prompts:
            yield (
                f"prompts: There are {there} prompts; the run wants {experiment.wanted_prompts}, "
                f"{experiment.test_prompts} of them for evaluation. Bring more prompts, or lower "
                "`prompts` of the rounds or of `evaluation`."
            )
