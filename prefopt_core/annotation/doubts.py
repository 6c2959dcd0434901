"""What is doubtful about recorded scores: that they mean what they are taken for."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

_LOW_IS_GOOD = re.compile(r"(^|[_ .-])(rank|ranking|position|place|loss|error|perplexity)s?$", re.I)
_ENOUGH = 5
"""So many prompts are needed before a pattern in their scores says something."""
_SHOWN = 3
"""So many rows are named."""


@dataclass(frozen=True)
class Recorded:
    """A score that stands in a file.

    Attributes:
        score: The number.
        row: Where it stands, such as "row 3".
        prompt_id: Of the prompt.
        kind: "truth" or "text" if it is no number in the file; else "".
    """

    score: float
    row: str
    prompt_id: str
    kind: str = ""


Judged = dict[str, list[Recorded]]
"""Response → its recorded scores, of one prompt."""


def doubts_of_scores(
    prompts: Sequence[Judged], column: str, unjudged: Sequence[str] = ()
) -> Iterator[str]:
    """A sentence for each thing that is doubtful, with counts and rows.

    Args:
        prompts: The responses to each prompt, with their scores.
        column: The column that holds the scores.
        unjudged: The rows without a score.
    """
    every = list(chain.from_iterable(chain.from_iterable(own.values() for own in prompts)))
    if unjudged:
        yield (
            f"{len(unjudged)} of {len(every) + len(unjudged)} rows have no finite number in "
            f"{column!r} and leave their responses unjudged ({_rows(unjudged)})."
        )
    yield from _kinds(every, column)
    yield from _contradictions(prompts)
    if len(every) > 1 and len({each.score for each in every}) == 1:
        yield (
            f"all {len(every)} scores in {column!r} are {every[0].score:g}, so no response is "
            "better than another. Is it the right column? `score`, beside `path`, names it."
        )
    yield from _reversed(prompts, column)


def _kinds(every: Sequence[Recorded], column: str) -> Iterator[str]:
    words = {
        "truth": "true or false, taken as 1 and 0",
        "text": "texts, taken for the numbers that they spell",
    }
    for kind, taken in words.items():
        found = [each.row for each in every if each.kind == kind]
        if found:
            yield f"{len(found)} of {len(every)} scores in {column!r} are {taken} ({_rows(found)})."


def _contradictions(prompts: Sequence[Judged]) -> Iterator[str]:
    several = [each for own in prompts for each in own.values() if len(each) > 1]
    differing = [own for own in several if len({each.score for each in own}) > 1]
    if differing:
        rows = [" and ".join(f"{e.row}: {e.score:g}" for e in own[:_SHOWN]) for own in differing]
        yield (
            f"{len(differing)} responses have several scores that differ ({_rows(rows)}); their "
            "mean counts. Leave one row for each if that is not meant."
        )


def _reversed(prompts: Sequence[Judged], column: str) -> Iterator[str]:
    means = [[sum(e.score for e in own) / len(own) for own in j.values()] for j in prompts]
    several = [sorted(scores) for scores in means if len(scores) > 1]
    ranked = [scores for scores in several if scores == list(range(1, len(scores) + 1))]
    if _LOW_IS_GOOD.search(column):
        cause = f"the column is called {column!r}"
    elif len(several) >= _ENOUGH and len(ranked) == len(several):
        cause = f"in all {len(several)} prompts the scores in {column!r} are 1, 2, … once each"
    else:
        return
    yield (
        f"{cause}: if the best response has the lowest, every pair is the wrong way round, as a "
        "higher score is better here. Then write the negatives into a column of their own and name "
        "that as `score`, beside `path`."
    )


def _rows(rows: Sequence[str]) -> str:
    more = f", and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return "; ".join(rows[:_SHOWN]) + more
