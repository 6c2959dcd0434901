"""What a pilot came to: one sentence, and the table behind it."""

from math import ceil

import polars as pl

from prefopt_core.labels.estimates import percent
from prefopt_core.reports.page import Part, Table, Text, Verdict
from prefopt_core.reports.worth import BREAK_EVEN, answer, pairs_until

_NOTE = (
    "Right: share of labelled pairs in which the judge prefers what the label prefers, a tie half, "
    "95 % Wilson interval over pairs."
)
_OF_FOLDS = (
    " Each pair was judged by a policy that learned from the other folds only; these policies "
    "share most of what they learned from, so the interval is a little narrow. In the run the "
    "judge learns from more labels, and judges its own newer responses."
)


def pilot_parts(
    metrics: pl.DataFrame,
    labels: int,
    available: int,
    threshold: float = BREAK_EVEN,
    *,
    learns: bool = True,
) -> list[Part]:
    """The verdict of a pilot and its figures.

    Args:
        metrics: As from `evaluation.pilot.agreement`.
        labels: Bought for them.
        available: Labels that the first round of the run buys.
        threshold: How often a judge has to be right.
        learns: Whether the judge learned from the other folds.
    """
    found = {row["metric"]: row for row in metrics.iter_rows(named=True)}
    if "judge_right" not in found:
        return [Verdict("The pilot cannot tell: the judge says nothing of the labelled pairs.")]
    right = found["judge_right"]
    share = percent(right["value"], right["low"], right["high"])
    return [
        Verdict(_sentence(right, share, labels, available, threshold)),
        Table(
            ["pairs", "judge right", "judge sure", "judge prefers longer", "labels prefer longer"],
            [
                [
                    str(right["n"]),
                    share,
                    *(
                        percent(found[name]["value"]) if name in found else "–"
                        for name in ("judge_confidence", "judge_longer", "label_longer")
                    ),
                ]
            ],
        ),
        Text(_NOTE + _OF_FOLDS * learns),
    ]


def _sentence(
    right: dict[str, float], share: str, labels: int, available: int, threshold: float
) -> str:
    seen = f"the judge is right in {share} of pairs that it has not learned from"
    pays = f"{percent(threshold)} at which judged pairs broke even"
    match answer(right["value"], right["low"], right["high"], threshold):
        case "try":
            return f"Self-labels are worth a try: {seen}, above the {pays}."
        case "spend":
            return f"No self-labels; spend on labels or on more steps: {seen}, below the {pays}."
    if (more := _more(right, labels, threshold)) is None:
        return f"The pilot cannot tell: {seen}, exactly the {pays}."
    where = ""
    if labels + more > available:
        where = f": {labels + more:,} in all, and round 1 buys {available:,}"
    return (
        f"The pilot cannot tell: {seen}, and the interval holds the {pays}. At that rate {more:,} "
        f"more labels would{where}."
    )


def _more(right: dict[str, float], labels: int, threshold: float) -> int | None:
    """How many labels more would tell, if the share stays; None where none would.

    Pairs of one prompt say less than as many of several. So what there is counts as the pairs that
    would give the interval that was found.
    """
    wanted = pairs_until(right["value"], threshold)
    nearer = "low" if right["value"] > threshold else "high"
    had = pairs_until(right["value"], right[nearer])
    return max(1, ceil(labels * (wanted / had - 1))) if wanted and had else None
