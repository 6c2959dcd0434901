"""Whether responses are as long as they want to be, and as long in the test as in training."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

import polars as pl

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.embedding.table import unread, unread_of
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.extents import Planned
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.labels.asked import Proposal
from prefopt_core.labels.estimates import percent
from prefopt_core.reports.advice import UNFINISHED
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store

_LOOKED_AT = 40
"""Shards of earlier responses that are read, the newest first."""


def other_lengths(experiment: Experiment) -> Iterator[str]:
    """A policy that learns from responses of one length, and is measured on those of another."""
    lengths = [
        section.generation.params.get("max_new_tokens")
        for section in (experiment, experiment.evaluation)
        if section
    ]
    if None not in lengths and len({*lengths}) > 1:
        own, held_out = lengths
        yield (
            f"evaluation: generation.params.max_new_tokens is {held_out}, and {own} in "
            "`generation`: the policy is measured on responses of another length than it learns "
            "from. Leave it out here to have the same."
        )


def too_long_to_train(experiment: Experiment) -> Iterator[str]:
    """Responses that may be longer than what training takes of prompt and response together."""
    longest = experiment.generation.params.get("max_new_tokens")
    training = getattr(experiment, "training", None)
    if training and longest and longest >= training.max_length:
        yield (
            f"training.max_length is {training.max_length}, of prompt and response together, and "
            f"responses may have {longest} tokens (`generation.params.max_new_tokens`): longer "
            "pairs end the run when their labels are bought. Raise `training.max_length`."
        )


def cut_off(stages: Sequence[Planned], store: Store) -> Iterator[str]:
    """Lengths at which many responses of earlier runs with the same settings were cut off.

    Args:
        stages: Those of a plan.
        store: Where earlier responses are.
    """
    wanted = [
        config
        for stage in stages
        if isinstance(config := stage.arguments.get("config"), GenerationConfig)
    ]
    shares: dict[int, list[bool]] = defaultdict(list)
    for manifest in islice(store.manifests("generate"), _LOOKED_AT) if wanted else ():
        config, output = manifest.inputs["config"], manifest.output
        if isinstance(output, Artifact) and config in [each.key_part() for each in wanted]:
            ends = store.read(output, ["finish_reason"])["finish_reason"]
            shares[config["params"].get("max_new_tokens")] += (ends == "length").to_list()
    for most, cut in sorted(shares.items()):
        if (share := sum(cut) / len(cut)) > UNFINISHED:
            yield (
                f"generation: {percent(share)} of {len(cut):,} responses of earlier runs were cut "
                f"off at max_new_tokens {most}. Raise `generation.params.max_new_tokens`, and that "
                "of `evaluation.generation.params` if it is set there."
            )


def cut_for_the_encoder(stages: Sequence[Planned], store: Store) -> Iterator[str]:
    """Responses that are there already, and of which the embedder does not read the end.

    Args:
        stages: Those of a plan.
        store: Where responses are.
    """
    columns = ["candidate_id", "response"]
    tables: dict[str, list[pl.DataFrame]] = defaultdict(list)
    configs: dict[str, EmbeddingConfig] = {}
    for stage in stages:
        config, candidates = map(stage.arguments.get, ("config", "candidates"))
        if isinstance(config, EmbeddingConfig) and isinstance(candidates, Artifact):
            configs[same := config.model_dump_json()] = config
            tables[same].append(store.read(candidates, columns))
    for same, config in configs.items():
        if text := unread(pl.concat(tables[same]), config):
            yield f"embedding: {text}"


def unread_in(
    proposal: Proposal[Artifact] | None, experiment: Experiment, store: Store
) -> Iterator[str]:
    """The same of the responses of a round.

    Args:
        proposal: Of the round, if it has one.
        experiment: The run's config.
        store: Where responses are.
    """
    embedding = getattr(experiment, "embedding", None)
    if proposal and embedding and (text := unread_of(proposal.candidates, store, embedding)):
        yield f"embedding: {text}"
