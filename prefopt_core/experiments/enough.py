"""Whether there is enough of what a run needs: prompts, responses, recorded scores, labels."""

from collections.abc import Iterator
from pathlib import Path

from prefopt_core.annotation.replay import recorded_in
from prefopt_core.annotation.settings import AnnotatorConfig
from prefopt_core.experiments.base import Experiment, Iterated, Paid
from prefopt_core.generation.given import responses_in
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import candidate_id_of, last_text, quoted
from prefopt_core.inputs.files import is_large
from prefopt_core.inputs.preferences import read_preferences

MADE = ("helpdesk", "smollm", "stories")
"""Sources that write as many prompts as their setting `count` says."""


def shortages(experiment: Experiment) -> Iterator[str]:
    """What there is too little of, as far as a run may end before it is missed; with sections.

    Raises:
        ConfigError: A run certainly comes to where it is missed.
        DataError: A file cannot be read.
    """
    yield from _prompts(experiment)
    yield from _responses(experiment)
    yield from _scores(experiment)
    yield from _labels(experiment)


def _prompts(experiment: Experiment) -> Iterator[str]:
    """That a round would find no prompts left, which otherwise shows when it is its turn."""
    there = _prompts_there(experiment)
    if there is None or there >= experiment.wanted_prompts:
        return
    problem = (
        f"prompts: There are {there} prompts; the run wants {experiment.wanted_prompts}, "
        f"{experiment.test_prompts} of them for evaluation. Bring more prompts, or lower "
        "`prompts` of the rounds or of `evaluation`."
    )
    if experiment.evaluation and experiment.evaluation.stop != "never":
        yield problem  # it may end before
    else:
        raise ConfigError(problem)


def _prompts_there(experiment: Experiment) -> int | None:
    """How many prompts a run can draw; None where only the run finds out."""
    prompts = experiment.prompts
    if prompts.source not in (*MADE, "file"):
        return None
    if prompts.source == "file" and is_large(Path(prompts.params["path"])):
        return None
    seed = getattr(experiment, "seed_preferences", None)
    if prompts.source in MADE and seed is None:
        return int(prompts.params["count"])
    there = prompts.member()(experiment.seed)["prompt_id"]
    used = set(read_preferences(Path(seed.path), seed.column)["prompt_id"]) if seed else set()
    return len(set(there) - used)


def _responses(experiment: Experiment) -> Iterator[str]:
    """Prompts to which a file of candidates has less than the two responses of a pair."""
    given, prompts = _given(experiment), experiment.prompts
    if given is None or prompts.source != "file" or is_large(Path(prompts.params["path"])):
        return
    every = prompts.member()(experiment.seed).rows(named=True)
    short = [row for row in every if len(given.get(row["prompt_id"], ())) < 2]
    if not short:
        return
    path = experiment.generation.params["path"]
    problem = (
        f"generation: {path} has fewer than the 2 responses of a pair to {len(short)} of "
        f"{len(every)} prompts, such as {quoted(last_text(short[0]['prompt']))}. Add responses, "
        "or remove these prompts."
    )
    if isinstance(experiment, Iterated) or experiment.evaluation:
        yield problem  # maybe they are not drawn
    else:
        raise ConfigError(problem)


def _given(experiment: Experiment) -> dict[str, list[str]] | None:
    """prompt_id → the texts of a file of candidates; None if there is none, or a large one."""
    generation = experiment.generation
    if generation.generator != "file" or is_large(Path(generation.params["path"])):
        return None
    params = {name: generation.params[name] for name in ("path", "column", "empty", "responses")}
    found = responses_in(**params)
    return {prompt_id: [each.text for each in own] for prompt_id, own in found.items()}


def _scores(experiment: Experiment) -> Iterator[str]:
    """Responses without a recorded score, for which `replay` is asked."""
    for where in ("annotation", "evaluation", "judge"):
        section = getattr(experiment, where, None)
        if isinstance(section, AnnotatorConfig) and section.annotator == "replay":
            given = None if where == "evaluation" else _given(experiment)
            if experiment.generation.generator != "file" or where == "evaluation":
                yield (
                    f"{where}: {section.params['path']} has scores of responses that there were, "
                    f"and the policy writes new ones. {_without_scores(section, where)}"
                )
            elif given is not None and not is_large(Path(section.params["path"])):
                yield from _scores_of(given, section, where)


def _scores_of(given: dict[str, list[str]], section: AnnotatorConfig, where: str) -> Iterator[str]:
    params = section.params
    recorded = recorded_in(
        Path(params["path"]), params["score"], params["column"], params["missing"]
    )
    ids = {candidate_id_of(prompt_id, text) for prompt_id, own in given.items() for text in own}
    if missing := ids - recorded.keys():
        said = (
            f"{where}: {len(missing)} of {len(ids)} candidates have no {params['score']!r} in "
            f"{params['path']}."
        )
        if missing == ids:
            raise ConfigError(f"{said} Are its prompts and responses those of the candidates?")
        yield f"{said} {_without_scores(section, where)}"


def _without_scores(section: AnnotatorConfig, where: str) -> str:
    if section.params["missing"] == "skip":
        return "Those without a score stay unjudged."
    return (
        "The run ends at the first without a score. Add them, or set "
        f"`{where}.params.missing: skip`."
    )


def _labels(experiment: Experiment) -> Iterator[str]:
    """Rounds whose prompts cannot take the labels they are to have."""
    if not isinstance(experiment, Iterated) or not isinstance(experiment, Paid):
        return
    asking, generation = experiment.annotation.asking, experiment.generation
    whole = experiment.selection.strategy == "west_of_n"
    if whole and generation.generator == "file":
        return  # which has as many responses to each prompt as it has
    number_of, setting = (
        (generation.n, "generation.n") if whole else (experiment.selection.k, "selection.k")
    )
    each = asking.labels(number_of) * asking.people
    for number, turn in enumerate(experiment.rounds):
        if turn.labels > turn.prompts * each:
            yield (
                f"rounds.{number}: labels is {turn.labels}, and its {turn.prompts} prompts take "
                f"{turn.prompts * each} at most, {each} each (`{setting}`)."
            )
