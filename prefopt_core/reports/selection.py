"""The page of a selection, which is also a section of a run's page: what was taken, what left."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import polars as pl

from prefopt_core.labels.asked import Proposal
from prefopt_core.labels.estimates import ENOUGH, over_prompts, percent
from prefopt_core.reports.inspection import (
    EXAMPLES,
    Inspection,
    inspect_selection,
    prompt_ids,
    responses_of,
)
from prefopt_core.reports.labels import counted
from prefopt_core.reports.page import (
    Cell,
    Facts,
    Fold,
    Heading,
    Page,
    Part,
    Plots,
    Strong,
    Table,
    Text,
    Verdict,
)
from prefopt_core.reports.plots import plot_by_k, plot_responses
from prefopt_core.reports.set_quality import NEAR, PromptResponses, mean
from prefopt_core.reports.values import shortened

_MOST_LEFT = 8
"""Responses to a prompt that are shown though they were not selected."""
_NOTE_ON_DOTS = (
    "The distinct responses to these prompts, on the two principal axes of their embeddings; "
    "filled and numbered as labels are spent: selected; open: left; four times the area: sampled "
    "four times."
)
_MEASURES = (
    ("representativeness", "representativeness: cosine of a selected response to the others"),
    ("redundancy", "redundancy: cosine of two selected responses"),
    ("objective", "objective: representativeness − redundancy"),
    ("coverage", "coverage: cosine of a response to the nearest selected one"),
    ("radius", "radius: 1 − that cosine, of the response farthest from all selected"),
    ("repeats", f"share of selected pairs that nearly repeat each other (cosine > {NEAR})"),
)


def selection_page(
    chosen: Proposal[pl.DataFrame], title: str, read_as: str, facts: Sequence[tuple[str, str]] = ()
) -> Page:
    """A page on a selection that belongs to no run.

    Args:
        chosen: Prompts, candidates, embeddings and selections.
        title: Of the page.
        read_as: What the columns of the file were read as.
        facts: What else it is about: when it was, by what embedder.
    """
    inspection = inspect_selection(chosen)
    about, verdict = (
        Facts([*facts, ("read as", read_as)]),
        verdict_on_selection(chosen, inspection),
    )
    parts = [*selection_summary(chosen, inspection), *selection_examples(chosen)]
    return Page(title, [about, verdict, *parts])


def verdict_on_selection(chosen: Proposal[pl.DataFrame], inspection: Inspection | None) -> Verdict:
    """What was selected, and by how much it is better than chance, in one sentence.

    Args:
        chosen: The selection.
        inspection: Its measures, if it has some.

    Returns:
        Its interval is that of the mean over prompts, by bootstrap.
    """
    selected, of, prompts = (
        chosen.selections.height,
        chosen.candidates.height,
        prompt_ids(chosen.selections),
    )
    said = f"{selected:,} of {of:,} responses to {counted(len(prompts), 'prompt')} are selected"
    if inspection is None:
        return Verdict(f"{said}.")
    pairs = zip(inspection.selected, inspection.chance, strict=True)
    gains = np.array([[own.objective - chance.objective, 1.0] for own, chance in pairs])
    gain = over_prompts(gains, lambda sums: sums[..., 0] / sums[..., 1], np.arange(len(gains)))
    figure = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    what = "their representativeness − redundancy"
    if gain.prompts < ENOUGH:
        few = f", on only {counted(gain.prompts, 'prompt')}"
        return Verdict(f"{said}; {what}: {figure} against a random choice{few}.")
    if gain.low > 0:
        found = "beats that of a random choice by"
    else:
        found = "is not seen to differ from" if gain.high >= 0 else "is below"
        found += " that of a random choice:"
    return Verdict(f"{said}; {what} {found} {figure}.")


def selection_summary(chosen: Proposal[pl.DataFrame], inspection: Inspection | None) -> list[Part]:
    """A table of all prompts, plots, and what both mean.

    Args:
        chosen: The selection.
        inspection: Its measures, if it has some.
    """
    summary: list[Part] = [Heading("What was selected"), table_of_selection(chosen, inspection)]
    if inspection is None:
        said = "Without embeddings nothing can be said of how much the responses are alike."
        return [*summary, Text(said)]
    return [*summary, Plots(plot_by_k(inspection), caption(inspection))]


def selection_examples(chosen: Proposal[pl.DataFrame]) -> list[Part]:
    """The first prompts with their responses, drawn where these are embedded; and as texts.

    Each prompt is to be unfolded; the first one is.
    """
    examples = responses_of(chosen, prompt_ids(chosen.selections)[:EXAMPLES])
    folds: list[Part] = []
    if examples and chosen.embeddings is not None:
        folds.append(Plots(plot_responses(examples), _NOTE_ON_DOTS))
    for number, prompt in enumerate(examples, 1):
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
        form = partial(percent, digits=1) if name == "repeats" else "{:z.3f}".format  # no -0.000
        chance = "–" if name == "radius" else form(mean(inspection.chance, name))
        rows.append([words, form(mean(inspection.selected, name)), chance])
    header = ["", "this selection", "random, expected"]
    return Table(header, [[*row, ""][: len(header)] for row in rows])


def _counts(chosen: Proposal[pl.DataFrame]) -> list[list[str]]:
    """Rows of (what, how many)."""
    samples, ids = chosen.candidates.height, chosen.candidates.select("prompt_id", "candidate_id")
    prompts, distinct = (ids[name].n_unique() for name in ids.columns)
    counts = {
        f"prompts with selected responses, of {prompts:,}": len(prompt_ids(chosen.selections)),
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
        "repeated samples. Random is the expectation over all sets of that size. AEPO is "
        "the set for each k that a quick search finds best by its objective at λ = 1, whatever "
        "made this selection."
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
