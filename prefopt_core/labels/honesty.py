"""What gives judges and people away: the side shown first, the length, two orders that contradict.

Figures of each rater, from the tables `verdicts` and `candidates`, and what is doubtful about them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import get_args

import polars as pl

from prefopt_core.ground.tables import TABLES
from prefopt_core.labels.agreement import Rated, krippendorffs_alpha, pairs_rated
from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.estimates import NOTHING, Estimate, median, share
from prefopt_core.labels.evidence import rater
from prefopt_core.labels.questions import State

LONGER = 1.25
"""Lengths of two responses, in characters, one of the other, from which the gap is clear."""
FLIPS = 0.1
"""Share of pairs judged otherwise in the other order above which to warn."""
UNDECIDED = 0.5
"""Share of verdicts that are ties or both bad above which to warn."""
UNJUDGED = 0.1
"""Share of verdicts that were skipped, or that are invalid, above which to warn."""
TENTATIVE = 0.667
"""Krippendorff's α below which not even tentative conclusions can be drawn (2004, p. 241)."""


@dataclass(frozen=True)
class Honesty:
    """Figures of one rater; each is `NOTHING` where no verdict tells it.

    Attributes:
        rater: Its name.
        verdicts: How many it gave, of every state.
        states: Share of each state.
        undecided: Share of ties and both bad together.
        flips: Share of pairs, preferred one way in both orders, of which the preferred response
            changed with the order. 0 is fair; half is a coin, more is a preference for a side.
        first: Share of preferences between two for the response shown first. Half is fair, where
            the order was drawn at random or both were shown. Who scores responses has none, and no
            flips.
        longer: Share of preferences for the longer response, of pairs that differ in length.
        clearly_longer: The same, of pairs in which it is `LONGER` times as long.
        seconds: Median time a verdict took.
        cost: What its verdicts cost, as far as that is known.
    """

    rater: str
    verdicts: int
    states: dict[State, Estimate]
    undecided: Estimate
    flips: Estimate
    first: Estimate
    longer: Estimate
    clearly_longer: Estimate
    seconds: Estimate
    cost: float


def honesty(verdicts: pl.DataFrame, candidates: pl.DataFrame) -> list[Honesty]:
    """The figures of each rater, in the order of their names.

    Args:
        verdicts: Table `verdicts`.
        candidates: Table `candidates`, for the lengths; pairs without their texts tell nothing of
            length.
    """
    named, preferred = verdicts.with_columns(rater()), _longer(comparisons(verdicts), candidates)
    return [
        _honesty(who, own, preferred.filter(pl.col("rater") == who))
        for (who,), own in named.sort("rater", maintain_order=True).group_by(
            "rater", maintain_order=True
        )
    ]


def first_shown(verdicts: pl.DataFrame) -> Iterator[tuple[str, Estimate]]:
    """Each rater's share of preferences for the response shown first: `Honesty.first`."""
    sides = _sides(verdicts.with_columns(rater()))
    for (who,), own in sides.group_by("rater", maintain_order=True):
        yield str(who), _share(own, "first_shown")


def metrics_of(verdicts: pl.DataFrame, candidates: pl.DataFrame, round_number: int) -> pl.DataFrame:
    """The figures of all raters together, as rows of a round's table `metrics`.

    Args:
        verdicts: Table `verdicts`.
        candidates: Table `candidates`.
        round_number: Counted from 1.

    Returns:
        Table `metrics`: order_flips, first_shown_preferred, longer_preferred, undecided_verdicts,
        invalid_verdicts (shares) and label_agreement (α of pairs); those that verdicts tell.
    """
    compared = comparisons(verdicts)
    every = _honesty("all", verdicts.with_columns(rater()), _longer(compared, candidates))
    figures = {
        "order_flips": every.flips,
        "first_shown_preferred": every.first,
        "longer_preferred": every.longer,
        "undecided_verdicts": every.undecided,
        "invalid_verdicts": every.states["invalid"],
        "label_agreement": krippendorffs_alpha(pairs_rated(compared)),
    }
    rows = [
        (round_number, name, figure.value, figure.low, figure.high, figure.n)
        for name, figure in figures.items()
        if isfinite(figure.value) and isfinite(figure.low)
    ]
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


def _honesty(who: object, own: pl.DataFrame, preferred: pl.DataFrame) -> Honesty:
    prompts, sides = own["prompt_id"].to_numpy(), _sides(own)
    clear = preferred.filter(pl.col("ratio") >= LONGER)
    timed = own.drop_nulls("seconds")
    return Honesty(
        str(who),
        own.height,
        {state: share((own["state"] == state).to_numpy(), prompts) for state in get_args(State)},
        share(own["state"].is_in(["tie", "both_bad"]).to_numpy(), prompts),
        _flips(sides),
        _share(sides, "first_shown"),
        _share(preferred, "longer"),
        _share(clear, "longer"),
        median(timed["seconds"].to_numpy(), timed["prompt_id"].to_numpy()),
        float(own["cost"].sum()),
    )


def _share(rows: pl.DataFrame, column: str) -> Estimate:
    return share(rows[column].to_numpy(), rows["prompt_id"].to_numpy())


def _sides(own: pl.DataFrame) -> pl.DataFrame:
    """Preferences between two as shown: for the one shown first? for the one with the smaller id?

    Scores of two are left out: they are given to responses, whatever side these stand on.
    """
    ids = pl.col("responses").list
    return (
        own.drop_nulls("preference")
        .select(
            "prompt_id",
            "rater",
            pair=ids.sort().list.join(" "),
            turned=ids.get(0) > ids.get(1),
            first_shown=pl.col("preference") > 0.5,
        )
        .with_columns(smaller=pl.col("first_shown") != pl.col("turned"))
    )


def _flips(sides: pl.DataFrame) -> Estimate:
    """Of pairs with a preference in both orders: whether it is for another response."""
    both = sides.group_by("prompt_id", "rater", "pair", maintain_order=True).agg(
        orders=pl.col("turned").n_unique(), flipped=pl.col("smaller").n_unique() > 1
    )
    return _share(both.filter(pl.col("orders") == 2), "flipped")


def _longer(compared: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """Preferences between two of different length: prompt_id, rater, longer, ratio of lengths."""
    chars = pl.col("response").str.len_chars().cast(pl.Int64)
    lengths = candidates.select("candidate_id", chars=chars).unique("candidate_id")
    of_pair = compared.filter(pl.col("said").is_in(["first", "second"]))
    for side in ("first", "second"):
        own = lengths.rename({"candidate_id": side, "chars": f"{side}_chars"})
        of_pair = of_pair.join(own, side, maintain_order="left")
    first, second = pl.col("first_chars"), pl.col("second_chars")
    return of_pair.filter(first != second).select(
        "prompt_id",
        "rater",
        longer=(pl.col("said") == "first") == (first > second),
        ratio=pl.max_horizontal(first, second) / pl.min_horizontal(first, second),
    )


@dataclass(frozen=True)
class _Rule:
    """When to warn of a figure, and in which words; `{who}` are all raters it is to be said of.

    Attributes:
        counts: Whether a few verdicts are enough: they were paid for, whatever others would be.
    """

    of: Callable[[Honesty], Estimate]
    doubtful: Callable[[Estimate], bool]
    says: str
    counts: bool = False


def _first_alone(own: Honesty) -> Estimate:
    """Of who was shown one order. Where both were, they even out, and flips tell how often."""
    return NOTHING if own.flips.enough else own.first


_RULES = (
    _Rule(
        lambda own: own.flips,
        lambda rate: rate.low > FLIPS,
        "Pairs get another verdict when their order is turned: {who}. They count as ties and make "
        "no pair to train on. Say more clearly in its template what decides, or take another "
        "judge; never ask this one in one order only.",
    ),
    _Rule(
        _first_alone,
        lambda rate: rate.low > 0.5,
        "The response shown first is preferred too often (50 % is fair): {who}. Ask in both orders "
        "(`annotation.params.orders: both`, where there is that), or see that the order is drawn "
        "at random: in a file, the better one may always stand first.",
    ),
    _Rule(
        _first_alone,
        lambda rate: rate.high < 0.5,
        "The response shown first is preferred too seldom (50 % is fair): {who}. Ask in both "
        "orders (`annotation.params.orders: both`, where there is that), or see that the order is "
        "drawn at random: in a file, the better one may always stand last.",
    ),
    _Rule(
        lambda own: own.clearly_longer,
        lambda rate: rate.low > 0.5,
        "Of two responses, one longer by a quarter or more, the longer is preferred: {who}. If "
        "longer is not better here, tell the annotator (and change `annotation.guidelines`, so "
        "that old labels do not count), and watch the words per response: `training.loss: simpo` "
        "holds them down.",
    ),
    _Rule(
        lambda own: own.clearly_longer,
        lambda rate: rate.high < 0.5,
        "Of two responses, one longer by a quarter or more, the longer is seldom preferred: {who}. "
        "If shorter is not better here, tell the annotator (and change `annotation.guidelines`, so "
        "that old labels do not count).",
    ),
    _Rule(
        lambda own: own.undecided,
        lambda rate: rate.low > UNDECIDED,
        "Most verdicts are ties or both bad, which make no pair: {who}. Show responses that differ "
        "more: `selection.strategy: diverse`, or a higher `generation.params.temperature`.",
    ),
    _Rule(
        lambda own: own.states["skipped"],
        lambda rate: rate.low > UNJUDGED,
        "Questions are skipped, which are paid for and make no pair: {who}. Ask people why, then "
        "mend prompts, or what they are told; a function skips where it returns None.",
        counts=True,
    ),
    _Rule(
        lambda own: own.states["invalid"],
        lambda rate: rate.low > UNJUDGED,
        "Answers are no verdicts: {who}. Read them in the column `why` (`prefopt show annotate`), "
        "then mend the judge's template.",
        counts=True,
    ),
)


def doubts(figures: list[Honesty], rated: Rated) -> list[str]:
    """What is doubtful about these labels, a sentence or more each, with what to do.

    The nearer end of an interval is compared, so that chance alone seldom causes a warning; figures
    of fewer than `estimates.ENOUGH` prompts say nothing, but for what was skipped or is invalid.

    Args:
        figures: Of all raters.
        rated: What they say of pairs.
    """
    said = []
    for rule in _RULES:
        found = [(own.rater, rule.of(own)) for own in figures]
        told = [(who, rate) for who, rate in found if rate.enough or rule.counts]
        bad = [(who, rate) for who, rate in told if rule.doubtful(rate)]
        if bad:
            who = ", ".join(f"{who} {rate.percent}" for who, rate in bad)
            said.append(rule.says.format(who=who))
    alpha = krippendorffs_alpha(rated)
    if alpha.enough and alpha.high < TENTATIVE:
        said.append(
            f"Annotators agree too little to rely on one label a pair: α is {alpha.value:.2f} "
            f"[{alpha.low:.2f}, {alpha.high:.2f}], and Krippendorff asks for {TENTATIVE} at least. "
            "Tell them what decides (and change `annotation.guidelines`, so that old labels do not "
            "count), and look who differs from all others."
        )
    return said
