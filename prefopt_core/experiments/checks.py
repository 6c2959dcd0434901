"""What can be seen of a run before it starts: files, functions, folders; no model is loaded."""

from collections.abc import Iterator
from pathlib import Path

from prefopt_core.annotation.from_tables import doubts_of_lost
from prefopt_core.annotation.identity import doubts_of_labels
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.experiments.base import Experiment, Paid
from prefopt_core.experiments.capacity import policy_folder, too_large
from prefopt_core.experiments.enough import shortages
from prefopt_core.experiments.lengths import other_lengths, too_long_to_train
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError, Lacking, PrefoptError
from prefopt_core.ground.settings import Config
from prefopt_core.ground.supported import doubts_of_versions
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.settings import SeedConfig
from prefopt_core.labels.store import LabelStore
from prefopt_core.lint import Known
from prefopt_core.lint.settings import LintConfig
from prefopt_core.lint.table import lint_pairs, warnings_of
from prefopt_core.models.fitness import shapes_in
from prefopt_core.models.positions import positions_in
from prefopt_core.store.running import stage_store

LOCAL = ("transformers", "vllm")
"""Generators that run the policy; servers have limits of their own."""


def check(experiment: Experiment, kept: LabelStore) -> list[str]:
    """Look at everything that a config names, section by section (`Config.check`).

    Args:
        experiment: The config.
        kept: The labels bought so far.

    Returns:
        What is doubtful, a sentence each, with the section it is about; a `Lacking` ends the run
        once that section is used.

    Raises:
        ConfigError: Something is certainly wrong; all that is, a line each. Or a package is not in
            a version that is supported.
        StoreError: The labels are on a server that does not answer.
    """
    doubts = doubts_of_versions()
    kept.ledger.require()
    problems: list[str] = []
    for where, section in _sections(experiment):
        try:
            doubts += [_placed(doubt, where, section) for doubt in section.check()]
            if isinstance(section, AnnotationConfig):
                doubts += [f"{where}: {doubt}" for doubt in doubts_of_labels(section, kept)]
                doubts += [f"{where}: {doubt}" for doubt in doubts_of_lost(section, kept)]
            if isinstance(section, SeedConfig):
                doubts += [f"{where}: {doubt}" for doubt in _doubts_of(section, experiment.lint)]
        except PrefoptError as error:
            if not any(problem.endswith(str(error)) for problem in problems):  # of the same file
                problems.append(f"{where}: {error}")
    if not problems:
        doubts += shortages(experiment)
        problems += _too_long_responses(experiment)
        doubts += [*_missing_layers(experiment), *_without_a_price(experiment)]
        doubts += other_lengths(experiment)
        doubts += too_long_to_train(experiment)
        doubts += too_large(experiment, policy_folder(experiment), stage_store().root)
    if problems:
        raise ConfigError("\n".join(problems))
    return doubts


def _placed(doubt: str, where: str, section: Config) -> str:
    placed = type(doubt)(f"{where}: {doubt}")
    if isinstance(placed, Lacking):
        placed.section = section
    return placed


def _sections(config: Config, where: str = "") -> Iterator[tuple[str, Config]]:
    for name in type(config).model_fields:
        section = getattr(config, name)
        if isinstance(section, Config):
            place = f"{where}.{name}" if where else name
            yield place, section
            yield from _sections(section, place)


def _doubts_of(seed: SeedConfig, lint: LintConfig) -> list[str]:
    """What is doubtful about labelled pairs.

    Raises:
        DataError: They cannot be read, or `lint` refuses them.
    """
    pairs = read_preferences(Path(seed.path), seed.column)
    return warnings_of(lint_pairs(pairs, lint, Known()), lint)


def _too_long_responses(experiment: Experiment) -> Iterator[str]:
    """That no response can be as long as is allowed, which otherwise shows at the first prompt."""
    folder = policy_folder(experiment)
    limit = positions_in(folder) if folder else None
    if limit is None:
        return
    for where, section in _sections(experiment):
        if isinstance(section, GenerationConfig) and section.generator in LOCAL:
            wanted = section.params["max_new_tokens"]
            if wanted >= limit:
                yield (
                    f"{where}: params.max_new_tokens is {wanted}, and the model in {folder} has "
                    f"{limit} positions for prompt and response. Lower it."
                )


def _without_a_price(experiment: Experiment) -> Iterator[str]:
    """A limit of money that nothing counts towards."""
    if not isinstance(experiment, Paid) or experiment.max_cost is None:
        return
    annotation = experiment.annotation
    if not annotation.price and "price_prompt" not in annotation.params:
        yield (
            f"max_cost: a label of {annotation.annotator!r} has no price, so none counts towards "
            "it. Set `annotation.price`."
        )


def _missing_layers(experiment: Experiment) -> Iterator[str]:
    """Names of LoRA's targets that no weight of the start policy has."""
    training = getattr(experiment, "training", None)
    lora, folder = training and training.lora, policy_folder(experiment)
    if not lora or not folder or isinstance(lora.target_modules, str):
        return
    layers = {f".{name.removesuffix('.weight')}" for name in shapes_in(folder)}
    for name in lora.target_modules:
        if not any(layer.endswith(f".{name}") for layer in layers):
            yield (
                f"training: no weight of {folder} is called {name!r}, which "
                "`training.lora.target_modules` names; training refuses what it does not find."
            )
