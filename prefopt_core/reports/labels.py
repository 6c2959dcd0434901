"""Labels in lines for a terminal of 80 columns. Their texts are untrusted: they print as text."""

import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from prefopt_core.ground.foreign import visible
from prefopt_core.labels.batch import Batch
from prefopt_core.labels.batch import in_words as in_line
from prefopt_core.labels.holdings import Holding, Share, in_words
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.standing import Progress
from prefopt_core.labels.words import word_of

WIDTH = 80
_STATES = {"both_bad": "both bad"}


def holding_in_lines(holding: Holding, called: Mapping[str, str] | None = None) -> Iterator[str]:
    """What there is of one annotator: states, cost, when, by whom, from which budgets.

    Args:
        holding: Its labels.
        called: Account → what users know it by.
    """
    content = f"content {holding.content}, " if holding.content else ""
    version = f"{content}guidelines {holding.guidelines}"
    yield from _wrapped(f"{holding.id}  ", f"{visible(in_words(holding.annotator))}, {version}")
    states = ", ".join(f"{n} {_STATES.get(state, state)}" for state, n in holding.states.items())
    awaited = f"{holding.awaited} more awaited from people" if holding.awaited else ""
    orders = f" by {holding.verdicts} verdicts" if holding.verdicts > holding.labels else ""
    counts = counted(holding.labels, "label") + orders + (f": {states}" if states else "")
    yield from _wrapped(_INDENT, "; ".join(part for part in (counts, awaited) if part))
    if holding.cost:
        yield f"{_INDENT}cost {holding.cost:,.4g}"
    people = [share for share in holding.people if share.who]
    yield from _shares("by", people)
    accounts = (replace(one, who=(called or {}).get(one.who, one.who)) for one in holding.accounts)
    yield from _shares("paid from", accounts)


def batch_in_words(batch: Batch, progress: Progress) -> str:
    """Questions that wait for people, in a line: whose they are, how many, since when."""
    left = f"{progress.left} of {counted(progress.wanted, 'label')} to give"
    return f"{visible(in_line(batch))}: {left}, asked {_time(progress.since)}"


def batch_in_lines(batch: Batch, progress: Progress) -> Iterator[str]:
    """The same beside holdings."""
    yield from _wrapped("open:     ", batch_in_words(batch, progress))


_INDENT = " " * 10


def _shares(words: str, shares: Iterable[Share]) -> Iterator[str]:
    for share in shares:
        days = dict.fromkeys(_day(at) for at in (share.first, share.last))
        who = visible(share.who) or "no account"
        yield from _wrapped(_INDENT, f"{words} {who}: {share.labels}, {' to '.join(days)}")


def entry_in_lines(entry: Entry, lines: int) -> Iterator[str]:
    """One question with its verdict and texts.

    Args:
        entry: The label, or the open question.
        lines: The most of each text; the rest is counted.
    """
    yield f"── {entry.question_id} ".ljust(WIDTH, "─")
    if entry.question is None:
        yield "(its texts are not kept: it is from an earlier prefopt)"
    else:
        for message in entry.question.prompt:
            yield from _text(message["role"], message["content"], lines)
        for number, shown in enumerate(entry.question.responses, 1):
            yield from _text(f"response {number}", shown.text, lines)
    if entry.verdict is None:
        yield "open"
        return
    verdict, used = entry.verdict, entry.verdict.usage
    parts = [f"verdict {word_of(verdict)}"]
    parts += [f"by {visible(verdict.by)}"] if verdict.by else []
    parts += [f"in {verdict.seconds:,.1f} s"] if verdict.seconds is not None else []
    parts += [f"at {_time(entry.at)}"] if entry.at is not None else []
    parts += [f"for {used.cost:,.4g}"] if used.cost is not None else []
    yield from _wrapped("", ", ".join(parts))
    if verdict.why:
        yield from _text("why", verdict.why, lines)


def _text(name: str, text: str, lines: int) -> Iterator[str]:
    wrapped = [
        part
        for line in visible(text).splitlines() or [""]
        for part in textwrap.wrap(line, WIDTH - 2) or [""]
    ]
    yield f"{name}:"
    for part in wrapped[:lines]:
        yield f"  {part}"
    if len(wrapped) > lines:
        yield f"  … {len(wrapped) - lines} more lines"


def _wrapped(indent: str, text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent)
    ) or [indent]


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "label"), counted(0, "label")
    ('1 label', '0 labels')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
