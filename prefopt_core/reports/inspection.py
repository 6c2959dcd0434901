"""A selection measured against random ones, and against AEPO's at other numbers of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from prefopt_core.ground.ids import last_content
from prefopt_core.ground.vectors import unpack
from prefopt_core.labels.asked import Proposal
from prefopt_core.reports.set_quality import (
    PromptResponses,
    SetQuality,
    aepo_sets,
    quality_at_random,
    quality_of,
)

# A report is made on every run, so what it measures is bounded, whatever the size of the tables.
MOST_PROMPTS, MOST_RESPONSES = 64, 4096
EXAMPLES = 5
"""Prompts that a page shows with their responses."""
BUDGETS = (2, 3, 4, 6, 8)
"""Values of k at which AEPO and chance are measured."""


@dataclass(frozen=True)
class Inspection:
    """A selection beside others of the same responses, prompt by prompt.

    Attributes:
        prompts: How many prompts the selection has; those measured may be fewer.
        k: How many responses were selected, of the prompts that have as many.
        selected: Quality of what was selected, one for every measured prompt.
        chance: The expectation for as many responses drawn at random.
        by_k: k → (quality of AEPO's sets, expectation at random), one for every measured prompt.
    """

    prompts: int
    k: int
    selected: list[SetQuality]
    chance: list[SetQuality]
    by_k: dict[int, tuple[list[SetQuality], list[SetQuality]]]


def inspect_selection(chosen: Proposal[pl.DataFrame]) -> Inspection | None:
    """Measure a selection; None without embeddings or when nothing was selected.

    Where a prompt has fewer than k distinct responses, all of them are taken for its k, as in
    selection itself.
    """
    ids = prompt_ids(chosen.selections)
    if chosen.embeddings is None or not ids:
        return None
    sample = _affordable(responses_of(chosen, _measured(ids)))
    k = max(chosen.selections["rank"]) + 1
    return Inspection(
        prompts=len(ids),
        k=k,
        selected=[quality_of(prompt, prompt.selected) for prompt in sample],
        chance=[quality_at_random(prompt, len(prompt.selected)) for prompt in sample],
        by_k=_by_k(sample, k),
    )


def _by_k(
    sample: Sequence[PromptResponses], k: int
) -> dict[int, tuple[list[SetQuality], list[SetQuality]]]:
    """The field `by_k` of an inspection, for `k` and those of `BUDGETS` that some prompt has."""
    largest = max(len(prompt.responses) for prompt in sample)
    budgets = sorted({k, *(k for k in BUDGETS if k <= largest)})
    sets = [aepo_sets(prompt, budgets[-1]) for prompt in sample]
    return {
        k: (
            [quality_of(p, own[min(k, max(own))]) for p, own in zip(sample, sets, strict=True)],
            [quality_at_random(prompt, k) for prompt in sample],
        )
        for k in budgets
    }


def prompt_ids(selections: pl.DataFrame) -> list[str]:
    """The prompts with at least two selected responses, in the order of the table `selections`."""
    sizes = selections.group_by("prompt_id", maintain_order=True).len()
    return sizes.filter(pl.col("len") > 1)["prompt_id"].to_list()


def shown_prompts(selections: pl.DataFrame) -> list[str]:
    """The prompts of which a page needs the embeddings: those it measures, and its examples."""
    ids = prompt_ids(selections)
    return [*_measured(ids), *ids[:EXAMPLES]]


def _measured(ids: Sequence[str]) -> list[str]:
    # Ids are digests: the smallest are a random draw that does not depend on the table's order.
    return sorted(ids)[:MOST_PROMPTS]


def responses_of(chosen: Proposal[pl.DataFrame], ids: Sequence[str]) -> list[PromptResponses]:
    """Collect what is known of some prompts, in the order of `ids`."""
    wanted = pl.DataFrame({"prompt_id": ids}, schema={"prompt_id": pl.String})
    texts = chosen.prompts.join(wanted, "prompt_id", how="semi").select(
        "prompt_id", prompt=last_content("prompt")
    )
    rows = (
        chosen.candidates.join(texts, "prompt_id")
        .sort("sample")
        .group_by("prompt_id", "candidate_id", maintain_order=True)
        .agg(pl.col("prompt", "response").first(), pl.len().alias("count"))
        .join(
            chosen.selections.select("prompt_id", "candidate_id", "rank"),
            ["prompt_id", "candidate_id"],
            how="left",
            maintain_order="left",
        )
    )
    if chosen.embeddings is not None:
        rows = rows.join(chosen.embeddings, "candidate_id", how="left", maintain_order="left")
    groups = rows.partition_by("prompt_id", as_dict=True)
    return [_responses(groups[prompt_id,]) for prompt_id in ids]


def _responses(group: pl.DataFrame) -> PromptResponses:
    """One prompt's, from its rows (prompt, response, count, rank, maybe vector)."""
    ranked = group.with_row_index("at").drop_nulls("rank").sort("rank")
    return PromptResponses(
        prompt=group["prompt"][0],
        responses=group["response"].to_list(),
        counts=group["count"].to_numpy().astype(np.intp),
        selected=ranked["at"].to_list(),
        vectors=unpack(group["vector"]) if "vector" in group.columns else None,
    )


def _affordable(sample: list[PromptResponses]) -> list[PromptResponses]:
    """As many prompts from the first on as hold `MOST_RESPONSES`, at least one."""
    held = np.cumsum([len(prompt.responses) for prompt in sample])
    return sample[: max(1, int((held <= MOST_RESPONSES).sum()))]
