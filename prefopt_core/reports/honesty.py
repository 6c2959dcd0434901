"""The part of a report that says who labelled, and how far these labels can be trusted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isnan

import polars as pl

from prefopt_core.labels.aggregation import aggregate, labels_of, pair_errors
from prefopt_core.labels.agreement import (
    Rated,
    between,
    fleiss_kappa,
    krippendorffs_alpha,
    observed,
    pairs_rated,
    responses_rated,
)
from prefopt_core.labels.comparisons import comparisons, scored
from prefopt_core.labels.estimates import ENOUGH, Estimate
from prefopt_core.labels.honesty import Honesty, doubts, honesty
from prefopt_core.reports import page
from prefopt_core.reports.page import Cell, Heading, Notice, Part, Table, Text

_MANY = 12
"""Raters from which the table of every two is left out: it would have too many lines to read."""


@dataclass(frozen=True)
class _Column:
    title: str
    of: Callable[[Honesty], Estimate]
    form: str = "share"


_STATES = (
    _Column("tie", lambda own: own.states["tie"]),
    _Column("both bad", lambda own: own.states["both_bad"]),
    _Column("skipped", lambda own: own.states["skipped"]),
    _Column("invalid", lambda own: own.states["invalid"]),
)
_HABITS = (
    _Column("flips", lambda own: own.flips),
    _Column("first shown", lambda own: own.first),
    _Column("longer", lambda own: own.longer),
    _Column("clearly longer", lambda own: own.clearly_longer),
    _Column("seconds", lambda own: own.seconds, "{:.1f}"),
)
_NOTE = (
    "Of all verdicts: ties, both bad, skipped, invalid. Flips: pairs of which another response is "
    "preferred when the order is turned. First shown: preferences for the response shown first; "
    "50 % is fair where the order was drawn at random. Longer: preferences for the longer "
    "response; clearly: by a quarter or more, in characters. Seconds: median time of a verdict. In "
    f"brackets: 95 % intervals, wider where a prompt has several pairs; – : fewer than {ENOUGH} "
    "prompts, so no figure."
)


def honesty_parts(verdicts: pl.DataFrame, candidates: pl.DataFrame) -> list[Part]:
    """Who labelled, what gives them away, how far they agree, and what is doubtful.

    Args:
        verdicts: Table `verdicts`, of one annotator or of several, one below the other.
        candidates: Table `candidates` with their responses.
    """
    title = Heading("How far the labels can be trusted")
    if verdicts.is_empty():
        return [title, Text("There is no verdict yet.")]
    figures, compared = honesty(verdicts, candidates), comparisons(verdicts)
    rated = pairs_rated(compared)
    notices = [Notice(text) for text in doubts(figures, rated)]
    return [
        title,
        table_of_raters(figures),
        Text(_NOTE),
        *notices,
        *_agreement(rated, responses_rated(scored(verdicts))),
        *_aggregation(compared, rated),
    ]


def table_of_raters(figures: list[Honesty]) -> Table:
    """A row a rater, with the columns that say something of one of them."""
    told = [c for c in _STATES if any(c.of(own).value > 0 for own in figures)]
    told += [c for c in _HABITS if any(c.of(own).n for own in figures)]
    return Table(
        ["annotator", "verdicts", *(column.title for column in told)],
        [
            [own.rater, f"{own.verdicts:,}", *(cell(c.of(own), c.form) for c in told)]
            for own in figures
        ],
    )


def cell(figure: Estimate, form: str = "share") -> Cell:
    """A figure with interval and number of items, or why there is none.

    Args:
        figure: Of whatever.
        form: A format for the value and both ends; "share" for per cent.
    """
    if not figure.n:
        return "–"
    if not figure.enough:
        return f"– (n = {figure.n})"
    if isnan(figure.value):
        return f"undefined (n = {figure.n})"
    scale, shown, unit = (100, "{:.0f}", " %") if form == "share" else (1, form, "")
    value, low, high = (shown.format(scale * x) for x in (figure.value, figure.low, figure.high))
    return page.Estimate(f"{value}{unit}", f"[{low}, {high}], n = {figure.n:,}")


def _agreement(pairs: Rated, responses: Rated) -> Iterator[Part]:
    """How far raters agree on what several of them labelled."""
    yield Heading("Agreement")
    shared = {"pairs": pairs.shared(), "scores": responses.shared()}
    if not any(len(rated.ratings) for rated in shared.values()):
        yield Text(
            "No pair and no response was labelled by two annotators, so nothing tells how far they "
            "would agree. Let two label some of the same."
        )
        return
    rows: list[list[Cell]] = []
    if len(pairs.shared().ratings):
        rows += [
            ["say the same of a pair", cell(observed(pairs))],
            ["pairs: Krippendorff's α", cell(krippendorffs_alpha(pairs), "{:.2f}")],
            ["pairs: Fleiss' κ", cell(fleiss_kappa(pairs), "{:.2f}")],
        ]
    for level in ("ordinal", "interval") if len(responses.shared().ratings) else ():
        alpha = krippendorffs_alpha(responses, level)
        rows.append([f"scores: Krippendorff's α, {level}", cell(alpha, "{:.2f}")])
    yield Table(["", "all annotators"], rows)
    yield Text(
        "α and κ: 1 is perfect agreement, 0 what chance gives; Krippendorff calls labels reliable "
        "from α = 0.8 on, and tentative from 0.667. A pair has four answers: the one, the other, "
        "tie, both bad. Intervals: bootstrap over prompts."
    )
    if 2 < len(pairs.raters) <= _MANY:
        yield _table_of_two(pairs)


def _table_of_two(pairs: Rated) -> Table:
    """Who disagrees with whom: every two raters, those who agree least first."""
    found = sorted(between(pairs), key=lambda two: two.observed.value)
    return Table(
        ["annotator", "and", "say the same", "Cohen's κ"],
        [[two.one, two.other, cell(two.observed), cell(two.kappa, "{:.2f}")] for two in found],
    )


def _aggregation(compared: pl.DataFrame, rated: Rated) -> Iterator[Part]:
    """What several raters of a pair say together, where three or more share enough of them."""
    several = rated.shared()
    if len(rated.raters) < 3 or len(set(several.prompts)) < ENOUGH:
        return
    accuracy = pair_errors(labels_of(rated)).accuracy()
    majority, weighed = (aggregate(compared, how) for how in ("majority", "dawid_skene"))
    more = majority["n"] > 1
    same = (majority["said"] == weighed["said"]).filter(more).to_numpy().mean()
    yield Heading("One label of several")
    yield Text(
        f"Of {more.sum():,} pairs with several verdicts, majority and Dawid–Skene, which weighs "
        f"annotators by their errors, give {float(same):.0%} the same label. How often each is "
        "right by that model, which knows no truth but what they have in common:"
    )
    order = sorted(range(len(accuracy)), key=lambda at: -accuracy[at])
    yield Table(
        ["annotator", "right, estimated"],
        [[rated.raters[at], f"{accuracy[at]:.0%}"] for at in order],
    )
