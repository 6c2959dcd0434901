"""What gives judges and people away: the side shown first, the length, two orders that contradict.

Figures of each rater, from the tables `verdicts` and `candidates`, and what is doubtful about them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import polars as pl

from prefopt_core.labels.agreement import Rated, krippendorffs_alpha
from prefopt_core.labels.comparisons import comparisons, rater
from prefopt_core.labels.estimates import Estimate, median, share
from prefopt_core.labels.questions import State

LONGER = 1.25
"""Lengths of two responses, in characters, one of the other, from which the gap is clear."""
FLIPS = 0.1
"""Share of pairs judged otherwise in the other order above which to warn."""
UNDECIDED = 0.5
"""Share of verdicts that say tie or both bad above which to warn."""
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
        flips: Share of pairs, preferred one way in both orders, of which the preferred response
            changed with the order. 0 is fair; half is a coin, more is a preference for a side.
        first: Share of preferences between two for the response shown first. Half is fair, where
            the order was drawn at random or both were shown. Who scores responses has none, and no
            flips.
        longer: Share of preferences for the longer response, of pairs that differ in length.
        clearly_longer: The same, of pairs in which it is `LONGER` times as long.
        seconds: Median time a verdict took.
    """

    rater: str
    verdicts: int
    states: dict[State, Estimate]
    flips: Estimate
    first: Estimate
    longer: Estimate
    clearly_longer: Estimate
    seconds: Estimate


def honesty(verdicts: pl.DataFrame, candidates: pl.DataFrame) -> list[Honesty]:
    """The figures of each rater, in the order of their names.

    Args:
        verdicts: Table `verdicts`.
        candidates: Table `candidates`, for the lengths; pairs without their texts tell nothing of
            length.
    """
    lengths = candidates.select(
        "candidate_id", chars=pl.col("response").str.len_chars().cast(pl.Int64)
    ).unique("candidate_id")
    named = verdicts.with_columns(rater())
    preferred = _longer(comparisons(verdicts), lengths)
    return [
        _honesty(who, own, preferred.filter(pl.col("rater") == who))
        for (who,), own in named.sort("rater", maintain_order=True).group_by(
            "rater", maintain_order=True
        )
    ]


def _honesty(who: object, own: pl.DataFrame, preferred: pl.DataFrame) -> Honesty:
    prompts, sides = own["prompt_id"].to_numpy(), _sides(own)
    clear = preferred.filter(pl.col("ratio") >= LONGER)
    timed = own.drop_nulls("seconds")
    return Honesty(
        str(who),
        own.height,
        {state: share((own["state"] == state).to_numpy(), prompts) for state in get_args(State)},
        _flips(sides),
        _share(sides, "first_shown"),
        _share(preferred, "longer"),
        _share(clear, "longer"),
        median(timed["seconds"].to_numpy(), timed["prompt_id"].to_numpy()),
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
            pair=ids.sort().list.join(" "),
            turned=ids.get(0) > ids.get(1),
            first_shown=pl.col("preference") > 0.5,
        )
        .with_columns(smaller=pl.col("first_shown") != pl.col("turned"))
    )


def _flips(sides: pl.DataFrame) -> Estimate:
    """Of pairs with a preference in both orders: whether it is for another response."""
    both = sides.group_by("prompt_id", "pair", maintain_order=True).agg(
        orders=pl.col("turned").n_unique(), flipped=pl.col("smaller").n_unique() > 1
    )
    return _share(both.filter(pl.col("orders") == 2), "flipped")


def _longer(compared: pl.DataFrame, lengths: pl.DataFrame) -> pl.DataFrame:
    """Preferences between two of different length: prompt_id, rater, longer, ratio of lengths."""
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


def doubts(figures: list[Honesty], rated: Rated) -> list[str]:
    """What is doubtful about these labels, a sentence or two each, with what to do.

    The nearer end of an interval is compared, so that chance alone seldom causes a warning; figures
    of fewer than `estimates.ENOUGH` prompts say nothing.

    Args:
        figures: Of all raters.
        rated: What they say of pairs.
    """
    said = [f"{own.rater}: {text}" for own in figures for rule in _RULES for text in rule(own)]
    alpha = krippendorffs_alpha(rated)
    if alpha.enough and alpha.high < TENTATIVE:
        said.append(
            f"Annotators agree too little to rely on one label a pair (α {alpha.value:.2f} "
            f"[{alpha.low:.2f}, {alpha.high:.2f}]; Krippendorff asks for {TENTATIVE} at least). "
            "Say in `annotation.guidelines` what decides, or ask several about the same pair."
        )
    return said


def _turns(own: Honesty) -> Iterator[str]:
    if own.flips.enough and own.flips.low > FLIPS:
        yield (
            f"of {percent(own.flips)} of the pairs it prefers the other response when the order is "
            "turned. Such pairs count as ties and make none to train on. Sharpen "
            "`annotation.guidelines` or the judge's template, or take another judge; never ask it "
            "in one order only."
        )


def _one_side(own: Honesty) -> Iterator[str]:
    if own.first.enough and not own.first.low <= 0.5 <= own.first.high:
        yield (
            f"it prefers the response shown first in {percent(own.first)}, where 50 % is fair. Ask "
            "in both orders (`annotation.params.orders: both`, if it has that), or see that the "
            "order is drawn at random: in a file, the better one may always stand first."
        )


def _length(own: Honesty) -> Iterator[str]:
    rate = own.clearly_longer
    if rate.enough and not rate.low <= 0.5 <= rate.high:
        yield (
            f"where one response is longer by a quarter or more, it prefers the longer in "
            f"{percent(rate)}. If longer is not better here, say so in `annotation.guidelines`, "
            "and watch the words per response: `training.loss: simpo` holds them down."
        )


def _undecided(own: Honesty) -> Iterator[str]:
    rates = [own.states[state] for state in ("tie", "both_bad")]
    if rates[0].enough and sum(rate.low for rate in rates) > UNDECIDED:
        yield (
            f"{rates[0].value:.0%} of its verdicts are ties, {rates[1].value:.0%} both bad: they "
            "make no pair. Show it responses that differ more: `selection.strategy: diverse`, or a "
            "higher `generation.params.temperature`."
        )


def _unjudged(own: Honesty) -> Iterator[str]:
    words = {"skipped": "skipped", "invalid": "no verdict that was asked for"}
    for state, rate in own.states.items():
        if state in words and rate.enough and rate.low > UNJUDGED:
            yield (
                f"{percent(rate)} of its verdicts are {words[state]}. Look at their column `why` "
                "(`prefopt show annotate`), then mend `annotation.guidelines` or its template."
            )


def percent(figure: Estimate) -> str:
    """A share with its interval.

    >>> percent(Estimate(0.5, 0.4, 0.6, 100, 100))
    '50 % [40, 60]'
    """
    return f"{100 * figure.value:.0f} % [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"


_RULES: tuple[Callable[[Honesty], Iterator[str]], ...] = (
    _turns,
    _one_side,
    _length,
    _undecided,
    _unjudged,
)
