"""Questions like those that a run will ask, by which what labels take is estimated before."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from prefopt_core.annotation.pricing import TOKEN_BYTES, Sample
from prefopt_core.experiments.base import Experiment
from prefopt_core.generation.table import generate_candidates
from prefopt_core.inputs.files import is_large
from prefopt_core.labels.questions import Question, Shown
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store

_PROMPTS = 100
"""Prompts of a sample."""


def sample_of(experiment: Experiment, store: Store, found: Iterable[object]) -> Sample:
    """Texts that the annotator will be shown, or ones as long as they may be.

    Args:
        experiment: The config.
        store: Where its tables are.
        found: What of the run's stages is there: tables `prompts` and `candidates` are used.

    Returns:
        Questions of the first prompts, with the most text that is known of; none if the prompts
        are not here yet.
    """
    tables = [each for each in found if isinstance(each, Artifact)]
    tables.sort(key=lambda each: each.rows, reverse=True)
    prompts = _prompts(experiment, store, [each for each in tables if each.table == "prompts"])
    if prompts is None:
        return Sample((), "its prompts are not loaded yet")
    some, generation = prompts.head(_PROMPTS), experiment.generation
    written = [each for each in tables if each.table == "candidates"]
    for each in written:
        if questions := _questions(prompts, store.read(each.first(_PROMPTS * generation.n))):
            return Sample(questions, "responses in the store")
    if generation.generator == "file" and not is_large(path := Path(generation.params["path"])):
        given = generate_candidates(some, None, generation, seed=experiment.seed)
        return Sample(_questions(some, given), f"the responses in {path.name}")
    if longest := generation.params.get("max_new_tokens"):
        text = "x" * (TOKEN_BYTES * longest)
        candidates = some.select("prompt_id", response=pl.lit(text))
        longest_ones = _questions(some, pl.concat([candidates, candidates]))
        return Sample(longest_ones, f"its prompts and responses of {longest} tokens")
    return Sample((), "its responses are not there yet")


def _prompts(
    experiment: Experiment, store: Store, found: Sequence[Artifact]
) -> pl.DataFrame | None:
    if found:  # the first prompts of every table: those of the first candidates are among them
        heads = store.read_all([each.first(_PROMPTS) for each in found])
        return heads.unique("prompt_id", keep="first", maintain_order=True)
    source = experiment.prompts
    if source.source != "file" or is_large(Path(source.params["path"])):
        return None
    return source.member()(experiment.seed)


def _questions(prompts: pl.DataFrame, candidates: pl.DataFrame) -> list[Question]:
    texts = dict(prompts.select("prompt_id", "prompt").iter_rows())
    groups = candidates.group_by("prompt_id", maintain_order=True).agg("response")
    return [
        Question(key, texts[key], tuple(Shown(text, text) for text in responses[:2]))
        for key, responses in groups.iter_rows()
        if key in texts and len(responses) > 1
    ][:_PROMPTS]
