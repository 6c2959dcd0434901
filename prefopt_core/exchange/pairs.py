"""Verdicts as pairs of a better and a worse response, as public preference files hold them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

from prefopt_core.exchange.cells import known_texts
from prefopt_core.ground.ids import Message
from prefopt_core.labels.comparisons import SAME
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Shown, Verdict


@dataclass(frozen=True)
class Better:
    """One response that is better than another.

    Attributes:
        prompt: The messages before both.
        chosen: The better one.
        rejected: The other.
        confidence: P(chosen better than rejected), > ½.
        scores: Of both, if the verdict has scores.
        verdict: What it follows from.
    """

    prompt: Sequence[Message]
    chosen: Shown
    rejected: Shown
    confidence: float
    scores: tuple[float, float] | None
    verdict: Verdict


BOTH_ORDERS = "Verdicts on both orders of a pair are one, by the mean of their probabilities."
"""What is lost where they are joined."""

_Said = list[tuple[Entry, int, int]]
"""Verdicts on the same two responses, by their places in each: that of the smaller id first."""


def pairs_of(entries: Sequence[Entry]) -> list[Better]:
    """The pairs that verdicts say; a ranking gives one for each two responses.

    What one annotator says of two responses in both orders is one pair, as it is in training: by
    the mean of the probabilities, and none where the orders contradict each other.
    """
    return [pair for same in _together(entries) if (pair := _pair(same))]


def _together(entries: Sequence[Entry]) -> list[_Said]:
    said: dict[tuple[str, ...], _Said] = defaultdict(list)
    for entry in entries:
        verdict, question = entry.verdict, known_texts(entry)
        if verdict is None or verdict.state not in ("given", "tie"):
            continue
        prompt, ids = question.key
        for i, j in combinations(sorted(range(len(ids)), key=ids.__getitem__), 2):
            who = (entry.annotator, entry.guidelines, verdict.by)
            said[*who, prompt, ids[i], ids[j]].append((entry, i, j))
    return list(said.values())


def _pair(same: _Said) -> Better | None:
    each = [_probability(*one) for one in same]
    p = fmean(each)
    if p == 0.5 or (len(same) > 1 and abs(p - 0.5) < SAME):
        return None
    entry, i, j = same[max(range(len(same)), key=lambda at: each[at] if p > 0.5 else -each[at])]
    chosen, rejected = (i, j) if p > 0.5 else (j, i)
    question, verdict = known_texts(entry), entry.verdict
    assert verdict is not None
    scores = verdict.scores if len(same) == 1 else None  # those of one order are not those of both
    return Better(
        question.prompt,
        question.responses[chosen],
        question.responses[rejected],
        max(p, 1 - p),
        None if scores is None else (scores[chosen], scores[rejected]),
        verdict,
    )


def _probability(entry: Entry, i: int, j: int) -> float:
    p = entry.verdict.probability(i, j) if entry.verdict else None
    return 0.5 if p is None else p


def orders_joined(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """The entries with one for what an annotator says of two responses in both orders.

    It is in the order that came first, by the means of scores, or of the probabilities; a tie where
    the orders contradict each other.

    Returns:
        The entries, and what is lost, a sentence each.
    """
    same: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
    for number, entry in enumerate(entries):
        question, verdict = known_texts(entry), entry.verdict
        if len(question.responses) != 2 or verdict is None or verdict.probability() is None:
            same[number,].append(entry)
        else:
            same[entry.annotator, entry.guidelines, verdict.by, question.compared].append(entry)
    joined = [one for some in same.values() for one in _joined(some)]
    return joined, [BOTH_ORDERS] if len(joined) < len(entries) else []


def _joined(same: Sequence[Entry]) -> Sequence[Entry]:
    first, *others = same
    if len({one.question_id for one in same}) == 1 or first.verdict is None:
        return same
    verdicts = [one.verdict for one in (first, *(in_order_of(first, o) for o in others))]
    scores = [verdict.scores for verdict in verdicts if verdict and verdict.scores]
    p = fmean(0.5 if v is None else v.probability() or 0.0 for v in verdicts)
    if abs(p - 0.5) < SAME:
        said = Verdict("tie")
    elif len(scores) == len(verdicts):
        said = Verdict.scored(*map(fmean, zip(*scores, strict=True)))
    else:
        said = Verdict.preferred(p)
    verdict = replace(
        first.verdict, state=said.state, scores=said.scores, preference=said.preference
    )
    return [replace(first, verdict=verdict)]


def in_order_of(first: Entry, other: Entry) -> Entry:
    """The other entry, on the same two responses, with these in the order of the first."""
    question, verdict = known_texts(other), other.verdict
    if question.key == known_texts(first).key or verdict is None:
        return other
    p = verdict.preference
    turned = replace(
        verdict,
        scores=verdict.scores and verdict.scores[::-1],
        preference=None if p is None else 1 - p,
    )
    return replace(other, question_id=first.question_id, question=question.turned(), verdict=turned)


def lost_of_pairs(entries: Sequence[Entry]) -> Iterator[str]:
    """What a file of pairs cannot hold of these entries, a sentence each."""
    yield from lost_of(entries)
    both = [same for same in _together(entries) if len(same) > 1]
    if both:
        yield BOTH_ORDERS
    if others := sum(_pair(same) is None for same in both):
        yield f"{others} pairs are left out: what was said of their two orders cancels out."


def lost_of(entries: Sequence[Entry]) -> Iterator[str]:
    """What a file of pairs cannot hold of these entries, a sentence each."""
    states: Counter[str] = Counter()
    for entry in entries:
        state: str = "open" if entry.verdict is None else entry.verdict.state
        if state == "given" and len(known_texts(entry).responses) == 1:
            state = "single"
        states[state] += 1
    words = {
        "open": "{} open questions are left out.",
        "single": "{} scores of single responses are left out: they compare nothing.",
        "tie": "{} ties are left out.",
        "both_bad": "{} verdicts that both are bad are left out.",
        "skipped": "{} skipped questions are left out.",
        "invalid": "{} invalid verdicts are left out.",
    }
    for state, sentence in words.items():
        if state in states:
            yield sentence.format(states[state])
