"""Policies by what they answered: a file of responses, a run, or all rounds of one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.lookup import run_named
from flows.terminal import say
from prefopt_core.annotation.settings import AnnotatorConfig, OutsideAnnotatorConfig
from prefopt_core.evaluation.settings import NOT_THE_POLICY
from prefopt_core.experiments.anchoring import anchored
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.sources import load_run, read_settings
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.export.held_out import Measured, prompts_of, rounds_measured
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.inputs.answers import response_column
from prefopt_core.inputs.files import READERS
from prefopt_core.inputs.layouts import describe_candidates, describe_prompts
from prefopt_core.inputs.settings import AnswersConfig, PromptsConfig
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.lineage import Lineage
from prefopt_core.store.runs import Run
from prefopt_core.store.store import Store
from tasks.generation import generate_candidates
from tasks.inputs import load_answers, load_prompts


@dataclass(frozen=True)
class Contestant:
    """A policy's responses.

    Attributes:
        name: Of the policy.
        prompts: Tables `prompts` that have what was answered.
        responses: Table `candidates`.
        grades: Tables `verdicts` of the run's own evaluation, also beside the round before.
    """

    name: str
    prompts: tuple[Artifact, ...]
    responses: Artifact
    grades: tuple[Artifact, ...] = ()


def is_file(what: str) -> bool:
    """Whether this is a file of responses, and no name of a run."""
    return Path(what).suffix in READERS or (Path(what).is_file() and not _is_config(what))


def run_meant(what: str) -> Run:
    """The run of that name.

    Raises:
        ConfigError: It is a folder or a config.
        StoreError: There is no such run.
    """
    if _is_config(what):
        raise ConfigError(
            f"{what} is a config; expected a run of it, or a file of responses. "
            f"`prefopt evaluate {Path(what).stem}` takes the newest run of that name."
        )
    try:
        return run_named(what)
    except StoreError:
        if not Path(what).is_dir():
            raise
        raise ConfigError(
            f"{what} is a folder; expected a run from `prefopt runs`, or a file of responses. A "
            "policy is evaluated by what it answered: name the run that made it, or a .jsonl of "
            "its answers, with columns `prompt` and `response`."
        ) from None


def _is_config(what: str) -> bool:
    return Path(what).suffix in (".yaml", ".yml")


def contestant(store: Store, what: str) -> Contestant:
    """What a file holds, or the kept policy of a run answered to its held-out prompts.

    Raises:
        ConfigError: It is a folder or a config.
        StoreError: There is no such run, or it has measured no policy.
    """
    if is_file(what):
        return _of_file(Path(what))
    run = run_meant(what)
    lineage = Lineage(store)
    kept = rounds_measured(lineage, run, (run.kept,))
    if not kept:
        raise StoreError(_unmeasured(run))
    return _of_round(lineage, kept[0], run.name)


def rounds_of(store: Store, run: Run) -> list[Contestant]:
    """The policies of all rounds of a run; the first is the start policy.

    Raises:
        StoreError: Fewer than two were measured.
    """
    lineage = Lineage(store)
    measured = rounds_measured(lineage, run)
    if len(measured) < 2:
        raise StoreError(_unmeasured(run))
    return [
        _of_round(lineage, each, f"round {each.number}" if each.number else "start")
        for each in measured
    ]


def answering(run: Run, questions: Path) -> Contestant:
    """What the kept policy of a run answers to the prompts of a file, as in its evaluation.

    Raises:
        ConfigError: The run's responses are not its policy's.
        StoreError: It kept none.
    """
    if run.policy is None:
        raise StoreError(f"Run {run.name!r} has no policy: it trained none, or has not ended.")
    config = _config(run)
    say(describe_prompts(questions))
    prompts = load_prompts(_prompts_in(questions), 0)
    responses = generate_candidates(prompts, run.policy, _generation(config), config.seed)
    return Contestant(run.name, (prompts,), responses)


def grader_of(run: Run) -> AnnotatorConfig:
    """The gold annotator of a run.

    Raises:
        ConfigError: It has none.
    """
    evaluation = _config(run).evaluation
    if evaluation is None:
        raise ConfigError(f"Run {run.name!r} has no `evaluation`: name who judges with --by FILE.")
    return evaluation.grader


def annotator_in(file: Path) -> AnnotatorConfig:
    """The annotator that a YAML file names: `annotator`, and its settings in `params`.

    Raises:
        ConfigError: There is no such file, or it names no annotator.
    """
    settings, folder = read_settings(str(file))
    settings = anchored(settings, settings, OutsideAnnotatorConfig, folder)
    config = OutsideAnnotatorConfig.model_validate(settings)
    say(*config.check())
    return config


def _of_file(file: Path) -> Contestant:
    say(describe_candidates(file, None, response_column(file)))
    prompts = load_prompts(_prompts_in(file), 0)
    return Contestant(file.stem, (prompts,), load_answers(AnswersConfig(path=str(file))))


def _of_round(lineage: Lineage, measured: Measured, name: str) -> Contestant:
    prompts = tuple(prompts_of(lineage, measured.answers))
    grades = (measured.grades, measured.beside_previous)
    tables = tuple(made.table for made in grades if made)
    return Contestant(name, prompts, measured.answers.table, tables)


def _prompts_in(file: Path) -> PromptsConfig:
    return PromptsConfig(params={"path": str(file), "repeats": "drop"})


def _config(run: Run) -> Experiment:
    settings: dict[str, Any] = read_yaml(run.config, f"the config of {run.name}")
    return load_run(settings, {})[1]


def _generation(config: Experiment) -> GenerationConfig:
    own = config.evaluation.generation if config.evaluation else config.generation
    if own.generator in NOT_THE_POLICY:
        raise ConfigError(
            f"{own.generator!r} gives the responses of this run, not its policy. Export the policy "
            "with `prefopt export FOLDER --policy`, and have another program answer."
        )
    return own.model_copy(update={"n": 1})


def _unmeasured(run: Run) -> str:
    return (
        f"Run {run.name!r} has measured too few policies: it needs `evaluation`, and a round that "
        "has ended."
    )
