"""Verdicts as pairs of a better and a worse response, as public preference files hold them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from prefopt_core.exchange.cells import known_texts
from prefopt_core.ground.ids import Message
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


def pairs_of(entries: Sequence[Entry]) -> list[Better]:
    """The pairs that verdicts say; a ranking gives one for each two responses."""
    return [pair for entry in entries for pair in _pairs(entry)]


def _pairs(entry: Entry) -> Iterator[Better]:
    verdict, question = entry.verdict, known_texts(entry)
    if verdict is None or verdict.state != "given":
        return
    for i, j in combinations(range(len(question.responses)), 2):
        scores = verdict.scores and (verdict.scores[i], verdict.scores[j])
        one, other = question.responses[i], question.responses[j]
        p = verdict.probability(i, j) or 0.0
        if p > 0.5:
            yield Better(question.prompt, one, other, p, scores, verdict)
        elif p < 0.5:
            turned = scores and (scores[1], scores[0])
            yield Better(question.prompt, other, one, 1 - p, turned, verdict)


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
