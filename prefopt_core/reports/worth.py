"""The rule by which a pilot says whether self-labels are worth a try."""

from typing import Literal

Answer = Literal["try", "spend", "unsure"]
"""Self-labels are worth a try; better spend on labels or more steps; the pilot cannot tell."""

BREAK_EVEN = 0.67
"""How often a judge has to be right, in its first round, for its pairs to be worth as many steps on
the labels alone: in docs/results-spa.md, ten seeds, judges right in 66 and 68 % come out even, one
right in 86 % ahead, and a line through them crosses 0 at 66 % (win rate) and 68 % (gold score)."""
_Z = 1.959964


def answer(right: float, low: float, high: float, threshold: float = BREAK_EVEN) -> Answer:
    """What to do by the share of pairs of which the judge is right, and its 95 % interval.

    >>> answer(0.9, 0.8, 0.95, 0.75), answer(0.6, 0.5, 0.7, 0.75), answer(0.7, 0.5, 0.8, 0.75)
    ('try', 'spend', 'unsure')
    """
    if low > threshold:
        return "try"
    return "spend" if high < threshold else "unsure"


def pairs_until(right: float, end: float) -> float | None:
    """How many pairs it takes until Wilson's 95 % interval of a share ends there.

    The interval holds every t for which |p - t| <= z √(t (1 - t) / n) (Wilson 1927), so it ends at
    t for n = z² t (1 - t) / (p - t)².

    Args:
        right: p, the share that was seen.
        end: t.

    Returns:
        n; None where the share is t.

    >>> round(pairs_until(0.65, 0.75))
    72
    """
    if right == end:
        return None
    return _Z**2 * end * (1 - end) / (right - end) ** 2
