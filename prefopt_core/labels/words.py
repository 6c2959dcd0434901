"""A verdict in a word, as people write it into a file, and back without loss.

* `1` or `2`: the first or the second is better; `p=0.9`: the first is, with that probability;
* `2>1=3`: a ranking, the best first, equal ones joined by `=`;
* `4.5`: the score of the only response; `[4.5, 3.0]`: those of several;
* `tie`, `both bad`, `skip`, `invalid`; or `t`, `b`, `s`, the keys of the page.
"""

import json
import math
import re
from collections.abc import Sequence

from prefopt_core.labels.questions import State, Verdict

_STATES: dict[str, State] = {
    "tie": "tie",
    "both bad": "both_bad",
    "skip": "skipped",
    "invalid": "invalid",
}
_WORDS = {state: word for word, state in _STATES.items()}
_ALIASES = {
    **{"both_bad": "both bad", "bad": "both bad", "skipped": "skip", "equal": "tie"},
    **{"t": "tie", "b": "both bad", "s": "skip"},  # the keys of the page
}
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?", re.I)


class NoVerdictError(ValueError):
    """A word is no verdict on its question; the message says what would be."""


def word_of(verdict: Verdict) -> str:
    """The word for what a verdict says.

    >>> word_of(Verdict.preferred(1.0)), word_of(Verdict.preferred(0.9)), word_of(Verdict("tie"))
    ('1', 'p=0.9', 'tie')
    >>> word_of(Verdict.ranked([2, 1, 2])), word_of(Verdict.scored(4.5))
    ('2>1=3', '4.5')
    """
    if verdict.state != "given":
        return _WORDS[verdict.state]
    if verdict.scores is None:
        sides = {1.0: "1", 0.0: "2"}
        return sides.get(verdict.preference or 0.0) or f"p={verdict.preference!r}"
    if len(verdict.scores) == 1:
        return repr(verdict.scores[0])
    ranking = ranking_of(verdict.scores)
    if len(ranking) > 1 and _scores_of(ranking) == list(verdict.scores):
        return ">".join("=".join(str(place + 1) for place in equal) for equal in ranking)
    return json.dumps(list(verdict.scores))


def verdict_in(word: str, size: int) -> Verdict:
    """The verdict that a word says on a question of so many responses.

    Raises:
        NoVerdictError: It says none.

    >>> verdict_in(" Both_Bad ", 2).state, verdict_in("3>1=2", 3).scores
    ('both_bad', (-2.0, -2.0, -1.0))
    >>> verdict_in("3", 2)
    Traceback (most recent call last):
    prefopt_core.labels.words.NoVerdictError: expected 1, 2, tie, both bad or skip, or p=0.9
    """
    plain = word.strip().casefold()
    plain = _ALIASES.get(plain, plain)
    if plain in _STATES:
        return Verdict(_STATES[plain])
    verdict = _given(plain, size)
    if verdict is None:
        raise NoVerdictError(f"expected {expected(size)}")
    return verdict


def expected(size: int) -> str:
    """What may be said to a question of so many responses.

    >>> expected(3)
    'an order such as 2>1=3, the best first, or tie, both bad or skip'
    """
    if size == 1:
        return "a score, which is a number, or skip"
    if size == 2:
        return "1, 2, tie, both bad or skip, or p=0.9"
    order = ">".join(["2", "1=3", *map(str, range(4, min(size, 9) + 1))])
    return f"an order such as {order}, the best first, or tie, both bad or skip"


def _given(word: str, size: int) -> Verdict | None:
    if word.startswith("["):
        return _scored(word, size)
    if size == 1:
        score = _number(word)
        return None if score is None else Verdict.scored(score)
    if size == 2 and word in ("1", "2", "1.0", "2.0"):  # as a spreadsheet may write them
        return Verdict.preferred(1.0 if word[0] == "1" else 0.0)
    if size == 2 and word.startswith("p="):
        probability = _number(word[2:])
        valid = probability is not None and 0 <= probability <= 1
        return Verdict.preferred(probability) if valid and probability is not None else None
    return _ranked(word, size)


def _number(word: str) -> float | None:
    if not _NUMBER.fullmatch(word):
        return None
    number = float(word.replace(",", "."))  # as it is written in half of the world
    return number if math.isfinite(number) else None


def _scored(word: str, size: int) -> Verdict | None:
    try:
        scores = [float(score) for score in json.loads(word)]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    fits = len(scores) == size and all(map(math.isfinite, scores))
    return Verdict.scored(*scores) if fits else None


def _ranked(word: str, size: int) -> Verdict | None:
    try:
        ranking = [[int(place) - 1 for place in equal.split("=")] for equal in word.split(">")]
    except ValueError:
        return None
    places = sorted(place for equal in ranking for place in equal)
    if len(places) != size or places != list(range(size)):
        return None
    return Verdict("tie") if len(ranking) == 1 else Verdict.scored(*_scores_of(ranking))


def ranking_of(scores: Sequence[float]) -> list[list[int]]:
    """Places in the order shown, the best first, those of equal scores together.

    >>> ranking_of([2.0, 5.0, 2.0])
    [[1], [0, 2]]
    """
    values = sorted(set(scores), reverse=True)
    return [[i for i, score in enumerate(scores) if score == value] for value in values]


def _scores_of(ranking: Sequence[Sequence[int]]) -> list[float]:
    """Negative ranks, in the order shown."""
    ranks = {place: rank for rank, equal in enumerate(ranking, 1) for place in equal}
    return [-float(ranks[place]) for place in sorted(ranks)]
