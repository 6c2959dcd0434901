"""The page of a selection, which is also a section of a run's page: what was taken, what left."""

from collections.abc import Sequence

import polars as pl

from prefopt_core.labels.asked import Proposal
from prefopt_core.reports.inspection import (
    Inspection,
    inspect_selection,
    prompt_ids,
    responses_of,
)
from prefopt_core.reports.page import Cell, Fold, Heading, Page, Part, Plot, Strong, Table, Text
from prefopt_core.reports.plots import plot_selection
from prefopt_core.reports.set_quality import NEAR, PromptResponses, mean
from prefopt_core.reports.values import shortened

_EXAMPLES = 5
"""Prompts that a page shows."""
_MOST_LEFT = 8
"""Responses to a prompt that are shown though they were not selected."""
_MEASURES = (
    ("representativeness", "representativeness: cosine of a selected response to the others"),
    ("redundancy", "redundancy: cosine of two selected responses"),
    ("objective", "objective: representativeness − redundancy"),
    ("coverage", "coverage: cosine of a response to the nearest selected one"),
    ("radius", "radius: 1 − that cosine, of the response farthest from all selected"),
    ("repeats", f"share of selected pairs that nearly repeat each other (cosine > {NEAR})"),
)


def selection_page(chosen: Proposal[pl.DataFrame], title: str, read_as: str) -> Page:
    """A page on a selection that belongs to no run.

    Args:
        chosen: Prompts, candidates, embeddings and selections.
        title: Of the page.
        read_as: What the columns of the file were read as.
    """
    return Page(title, [Text(read_as), *selection_summary(chosen), *selection_examples(chosen)])


def selection_summary(chosen: Proposal[pl.DataFrame]) -> list[Part]:
    """A table of all prompts, a plot, and what both mean."""
    inspection = inspect_selection(chosen)
    summary: list[Part] = [Heading("What was selected"), table_of_selection(chosen, inspection)]
    if inspection is None:
        said = "Without embeddings nothing can be said of how much the responses are alike."
        return [*summary, Text(said)]
    examples = responses_of(chosen, prompt_ids(chosen)[:_EXAMPLES])
    alt = "the selected responses among all; objective and coverage by labels per prompt"
    plot = Plot("selection", plot_selection(inspection, examples), alt)
    return [*summary, plot, Text(caption(inspection))]


def selection_examples(chosen: Proposal[pl.DataFrame]) -> list[Part]:
    """The first prompts with their responses, each to be unfolded; the first one is."""
    folds: list[Part] = []
    for number, prompt in enumerate(responses_of(chosen, prompt_ids(chosen)[:_EXAMPLES]), 1):
        title, text = shortened(prompt.prompt, 80), shortened(prompt.prompt, 400)
        more: list[Part] = [Text(text)] if text != title else []
        parts = [*more, table_of_responses(prompt)]
        folds.append(Fold(f"Prompt {number}: {title}", parts, unfolded=number == 1))
    return folds


def table_of_selection(chosen: Proposal[pl.DataFrame], inspection: Inspection | None) -> Table:
    """Counts of all prompts, and measures of the inspected ones beside those of random sets."""
    rows = _counts(chosen)
    if inspection is None:
        return Table(["", "this selection"], rows)
    for name, words in _MEASURES:
        form = "{:.1%}" if name == "repeats" else "{:z.3f}"  # no -0.000
        chance = "–" if name == "radius" else form.format(mean(inspection.chance, name))
        rows.append([words, form.format(mean(inspection.selected, name)), chance])
    header = ["", "this selection", "random, expected"]
    return Table(header, [[*row, ""][: len(header)] for row in rows])


def _counts(chosen: Proposal[pl.DataFrame]) -> list[list[str]]:
    """Rows of (what, how many)."""
    samples, ids = chosen.candidates.height, chosen.candidates.select("prompt_id", "candidate_id")
    prompts, distinct = (ids[name].n_unique() for name in ids.columns)
    counts = {
        f"prompts with selected responses, of {prompts:,}": len(prompt_ids(chosen)),
        f"distinct responses, of {samples:,}": distinct,
        "selected responses": chosen.selections.height,
    }
    rows = [[words, f"{count:,}"] for words, count in counts.items()]
    gaps = chosen.selections.filter(pl.col("rank") == 0)["gap"].drop_nulls().to_numpy()
    if len(gaps):
        rows.append(["prompts whose set is proved the best", f"{(gaps == 0).sum():,}"])
        if gaps.any():
            rows.append(["what a better set could gain, at most", f"{gaps.max():.2g}"])
    return rows


def caption(inspection: Inspection) -> str:
    """What table and plot of a selection show, and of which prompts."""
    measured = len(inspection.selected)
    of = "all" if measured == inspection.prompts else f"{measured}, drawn by their ids, of"
    return (
        f"Figures are means over prompts: {of} {inspection.prompts:,}. All compare responses by "
        "the cosine of their embeddings, whatever the selection compared them by, and count "
        "repeated samples. Random is the expectation over all sets of that size. Above: the "
        "distinct responses to the first prompts of the table, on the two principal axes of "
        "their embeddings. Below: AEPO is the set for each k that a quick search finds best by "
        "its objective at λ = 1, whatever made this selection."
    )


def table_of_responses(prompt: PromptResponses) -> Table:
    """The selected in their order, then those left, the one least like any selected first."""
    left = [at for at in range(len(prompt.responses)) if at not in prompt.selected]
    nearest: Sequence[float] | None = None
    if prompt.vectors is not None:
        nearest = prompt.nearest(prompt.selected).tolist()
        left.sort(key=nearest.__getitem__)
    rows: list[list[Cell]] = []
    for rank, at in enumerate([*prompt.selected, *left[:_MOST_LEFT]], 1):
        selected = rank <= len(prompt.selected)
        name = Strong(f"selected {rank}") if selected else "left"
        near = "" if selected or nearest is None else f"{nearest[at]:.2f}"
        rows.append([name, f"{prompt.counts[at]}×", near, shortened(prompt.responses[at], 300)])
    if len(left) > _MOST_LEFT:
        rows.append(["left", "", "", f"… and {len(left) - _MOST_LEFT} more"])
    return Table(["", "sampled", "cosine to nearest selected", "response"], rows)
