"""The part of a report that says who labelled, and how far these labels can be trusted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan

import polars as pl

from prefopt_core.labels.aggregation import aggregate, labels_of, pair_errors
from prefopt_core.labels.agreement import (
    Between,
    Level,
    Rated,
    between,
    fleiss_kappa,
    krippendorffs_alpha,
    observed,
    pairs_rated,
    responses_rated,
)
from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.estimates import ENOUGH, Estimate, percent
from prefopt_core.labels.evidence import scored
from prefopt_core.labels.honesty import Honesty, doubts, honesty
from prefopt_core.reports import page
from prefopt_core.reports.page import Cell, Heading, Notice, Part, Table, Text

_LEVELS: tuple[Level, ...] = ("ordinal", "interval")
_LISTED = 4
"""Raters up to which every two have a line, with intervals; more are a matrix of figures alone."""
_MATRIX = 16
"""Raters up to which such a matrix can be read."""
_OTHERS = (
    "Beside those who gave the labels of this run stands who said something of the same responses "
    "for another one, as the label store has it; nothing is trained on that here."
)


@dataclass(frozen=True)
class _Column:
    """A figure of each rater; its note stands below the table."""

    title: str
    of: Callable[[Honesty], Estimate]
    note: str = ""
    form: str = "share"


_STATES = (
    _Column("tie", lambda own: own.states["tie"]),
    _Column("both bad", lambda own: own.states["both_bad"]),
    _Column("skipped", lambda own: own.states["skipped"]),
    _Column("invalid", lambda own: own.states["invalid"]),
)
_HABITS = (
    _Column(
        "flips",
        lambda own: own.flips,
        "Flips: pairs of which another response is preferred when the order is turned.",
    ),
    _Column(
        "first shown",
        lambda own: own.first,
        "First shown: preferences for the response shown first; 50 % is fair where the order was "
        "drawn at random.",
    ),
    _Column("longer", lambda own: own.longer, "Longer: preferences for the longer response."),
    _Column(
        "clearly longer",
        lambda own: own.clearly_longer,
        "Clearly longer: the same where it is longer by a quarter or more, in characters.",
    ),
    _Column(
        "seconds", lambda own: own.seconds, "Seconds: median time of a verdict.", form="{:.1f}"
    ),
)


def honesty_parts(
    verdicts: pl.DataFrame, candidates: pl.DataFrame, others: pl.DataFrame | None = None
) -> list[Part]:
    """Who labelled, what gives them away, how far they agree, and what is doubtful.

    Args:
        verdicts: Table `verdicts`, of one annotator or of several, one below the other.
        candidates: Table `candidates` with their responses.
        others: Table `verdicts` of annotators who said something of the same responses, and whose
            labels these are not.
    """
    title = Heading("How far the labels can be trusted")
    if verdicts.is_empty():
        return [title, Text("There is no verdict yet.")]
    own = {figures.rater for figures in honesty(verdicts, candidates)}
    foreign = others is not None and not others.is_empty()
    if others is not None:
        verdicts = pl.concat([verdicts, others])
    figures, compared = honesty(verdicts, candidates), comparisons(verdicts)
    rated = pairs_rated(compared)
    return [
        title,
        *([Text(_OTHERS)] if foreign else []),
        *raters_in_words(figures),
        *(Notice(text) for text in doubts([each for each in figures if each.rater in own], rated)),
        *_agreement(rated, responses_rated(scored(verdicts)), _groups(verdicts)),
        *_aggregation(compared, rated),
    ]


def raters_in_words(figures: list[Honesty]) -> list[Part]:
    """A row a rater, with the columns that say something of one of them, and what these mean."""
    states = [c for c in _STATES if any(c.of(own).value > 0 for own in figures)]
    habits = [c for c in _HABITS if any(c.of(own).n for own in figures)]
    given: dict[str, list[Cell]] = {
        "annotator": [own.rater for own in figures],
        "verdicts": [f"{own.verdicts:,}" for own in figures],
    }
    if any(own.cost for own in figures):
        given["cost"] = [f"{own.cost:,.4g}" if own.cost else "–" for own in figures]
    columns = [given | _cells(states, figures), _cells(habits, figures)]
    if len(columns[0]) > len(given) and columns[1]:  # both are too wide for one page
        columns[1] = {"annotator": given["annotator"]} | columns[1]
    else:
        columns = [columns[0] | columns[1]]
    notes = [column.note for column in habits if column.note]
    brackets = (
        f"In brackets: 95 % intervals, over prompts; –: fewer than {ENOUGH} prompts, so no figure."
    )
    return [
        *(
            Table([*each], [list(row) for row in zip(*each.values(), strict=True)])
            for each in columns
        ),
        *([Text(" ".join([*notes, brackets]))] if states or habits else []),
    ]


def _cells(columns: list[_Column], figures: list[Honesty]) -> dict[str, list[Cell]]:
    return {c.title: [cell(c.of(own), c.form) for own in figures] for c in columns}


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


def _groups(verdicts: pl.DataFrame) -> list[Between]:
    """Annotators of several people, by majority, with every other annotator."""
    members = verdicts.group_by("annotator").agg(pl.col("by").n_unique())
    if members.height < 2 or members["by"].max() == 1:
        return []
    together = [
        aggregate(comparisons(own)).with_columns(rater=pl.lit(str(annotator)))
        for (annotator,), own in verdicts.group_by("annotator")
    ]
    return between(pairs_rated(pl.concat(together)))


def _agreement(pairs: Rated, responses: Rated, groups: list[Between]) -> Iterator[Part]:
    """How far raters agree on what several of them labelled."""
    yield Heading("Agreement")
    several = len(pairs.shared().ratings), len(responses.shared().ratings)
    if not any(several):
        yield Text(
            "No pair and no response was labelled by two annotators, so nothing tells how far they "
            "would agree. People share some pairs by the settings `people` and `overlap`. How far "
            "they agree with a judge stands here once they have labelled some of its pairs in this "
            "store, such as by the same config with `annotation: {annotator: people}` and a small "
            "budget."
        )
        return
    rows: list[list[Cell]] = []
    if several[0]:
        rows += [
            ["say the same of a pair", cell(observed(pairs))],
            ["pairs: Krippendorff's α", cell(krippendorffs_alpha(pairs), "{:z.2f}")],
            ["pairs: Fleiss' κ", cell(fleiss_kappa(pairs), "{:z.2f}")],
        ]
    for level in _LEVELS if several[1] else ():
        alpha = krippendorffs_alpha(responses, level)
        rows.append([f"scores: Krippendorff's α, {level}", cell(alpha, "{:z.2f}")])
    yield Table(["", "all annotators"], rows)
    yield Text(
        "α and κ: 1 is perfect agreement, 0 what chance gives; Krippendorff calls labels reliable "
        "from α = 0.8 on, and tentative from 0.667. A pair has four answers: the one, the other, "
        "tie, both bad. Intervals: bootstrap over prompts."
    )
    if several[0] and len(pairs.raters) <= _LISTED:
        yield _every_two(between(pairs))
    elif _LISTED < len(pairs.raters) <= _MATRIX:
        yield from _matrix(pairs.raters, between(pairs))
    if groups:
        yield Text("Several people of one annotator together, by majority, with the others:")
        yield _every_two(groups)


def _every_two(found: list[Between]) -> Table:
    """Who disagrees with whom: those who agree least first."""
    return Table(
        ["annotator", "and", "say the same", "Cohen's κ"],
        [
            [two.one, two.other, cell(two.observed), cell(two.kappa, "{:z.2f}")]
            for two in sorted(found, key=lambda two: two.observed.value)
        ],
    )


def _matrix(raters: Sequence[str], found: list[Between]) -> list[Part]:
    """Every two raters: share of pairs of which they say the same, and below the diagonal κ."""
    cells: dict[tuple[str, str], Cell] = {(name, name): "" for name in raters}
    for two in found:
        if two.observed.enough:
            cells[two.one, two.other] = percent(two.observed.value)
            cells[two.other, two.one] = f"{two.kappa.value:z.2f}"
    numbers = [str(number) for number in range(1, len(raters) + 1)]
    rows = [
        [f"{number} {row}", *(cells.get((row, column), "–") for column in raters)]
        for number, row in zip(numbers, raters, strict=True)
    ]
    said = "Every two: above the diagonal how often they say the same of a pair, below Cohen's κ."
    return [Table(["annotator", *numbers], rows), Text(said)]


def _aggregation(compared: pl.DataFrame, rated: Rated) -> Iterator[Part]:
    """What several raters of a pair say together, where three or more share enough of them."""
    if len(rated.raters) < 3 or len(set(rated.shared().prompts)) < ENOUGH:
        return
    accuracy = pair_errors(labels_of(rated)).accuracy()
    majority, weighed = (aggregate(compared, how) for how in ("majority", "dawid_skene"))
    more = majority["n"] > 1
    same = float((majority["said"] == weighed["said"]).filter(more).to_numpy().mean())
    yield Heading("One label of several")
    yield Text(
        f"Of {more.sum():,} pairs with several verdicts, majority and Dawid–Skene, which weighs "
        f"annotators by their errors, give {percent(same)} the same label. Below: how often "
        "each is right by that model. It knows no truth but what most have in common: where most "
        "share a habit, whoever does not looks wrong."
    )
    order = sorted(range(len(accuracy)), key=lambda at: -accuracy[at])
    yield Table(
        ["annotator", "right, by Dawid–Skene"],
        [[rated.raters[at], percent(accuracy[at])] for at in order],
    )
