"""The verdict in a judge's answer, as its template says where it stands.

Only the answer is read, never what the judge was shown. What is no verdict is none: nothing is
guessed from an answer that was cut off, refused, or says something else. Nor from one that says two
things: which of them the judge means cannot be told from what it quotes of a response.
"""

import json
import math
import re
from collections.abc import Callable, Mapping

from prefopt_core.annotation.judge_template import Header, Mark
from prefopt_core.labels.questions import Verdict
from prefopt_core.models.server.answers import FINISH_REASONS, text_of
from prefopt_core.models.server.kept import LikelyTokens, ServedResponse

_MOST = 2000
"""Braces of an answer that is read; each may be tried as the beginning of an object, to the end."""

_GRADED: tuple[Mark, ...] = ("first", "second", "tie")


def verdict_in(answer: ServedResponse, header: Header) -> Verdict | None:
    """What an answer says; None if it is no verdict.

    Args:
        answer: The judge's.
        header: How it is read.
    """
    text = text_of(answer)
    if text is None:
        return None
    if header.read == "token":
        return _token_verdict(_bare(text), answer.likely or [], header)
    if FINISH_REASONS[answer.finish_reason] == "length":
        return None  # what it would have come to is not known
    found = re.findall(header.pattern, text) if header.pattern else _fields(text, header)
    first, *others = [_verdict(each, header) for each in found] or [None]
    return first if all(other == first for other in others) else None


def _token_verdict(text: str, tokens: list[LikelyTokens], header: Header) -> Verdict | None:
    """The verdict of a mark, or of the probabilities of all marks in its place."""
    said = _verdict(text, header)
    places = [likely for token, likely in tokens if _bare(token) == text]
    if said is None or not places or said.state != "given":
        return said
    shares: dict[str, float] = {}
    for token, logp in places[-1].items():  # the last: reasoning may stand before the verdict
        share = 0.0 if math.isnan(logp) else math.exp(min(logp, 0.0))
        shares[_bare(token)] = shares.get(_bare(token), 0.0) + share
    return (_mean_score if header.ask == "score" else _preference)(shares, header) or said


def _bare(text: str) -> str:
    """A mark without what models like to set around one."""
    return text.strip(" \t\n.,:*\"'`()[]")


def _preference(shares: Mapping[str, float], header: Header) -> Verdict | None:
    """P(first) among the marks; half of a tie's probability is either's."""
    probability = {mark: shares.get(text, 0.0) for mark, text in header.marks.items()}
    first, second, tie = (probability.get(mark, 0.0) for mark in _GRADED)
    total = first + second + tie
    return Verdict.preferred((first + tie / 2) / total) if total else None


def _mean_score(shares: Mapping[str, float], header: Header) -> Verdict | None:
    """The expected score, Σ p(s)·s / Σ p(s) over the scores among the likely tokens.

    Liu et al., "G-Eval", arXiv:2303.16634, eq. 1.
    """
    known = {s: p for text, p in shares.items() if (s := _score(text, header)) is not None and p}
    if not known:
        return None
    return Verdict.scored(sum(s * p for s, p in known.items()) / sum(known.values()))


def _verdict(found: object, header: Header) -> Verdict | None:
    """The verdict that a mark or a number stands for."""
    if header.ask == "score":
        score = _score(found, header)
        return None if score is None else Verdict.scored(score)
    makers: dict[str, Callable[[], Verdict]] = {
        "first": lambda: Verdict.preferred(1.0),
        "second": lambda: Verdict.preferred(0.0),
        "tie": lambda: Verdict("tie"),
        "both_bad": lambda: Verdict("both_bad"),
    }
    means = next((means for means, mark in header.marks.items() if mark == _plain(found)), None)
    return None if means is None else makers[means]()


def _plain(found: object) -> str:
    return str(found).strip() if isinstance(found, str | int | float) else ""


def _score(found: object, header: Header) -> float | None:
    assert header.scale is not None
    try:
        score = float(_plain(found)) if not isinstance(found, bool) else math.nan
    except ValueError:
        return None
    low, high = header.scale
    return score if low <= score <= high else None


def _fields(text: str, header: Header) -> list[object]:
    """The field of each JSON object that has it; none if it also stands outside of them.

    Objects within others do not count. A field outside of any is a quotation, or what is left of an
    object that is no JSON, within which one could be quoted.
    """
    decoder, at, found, outside = json.JSONDecoder(object_pairs_hook=_once), 0, [], ""
    if text.count("{") > _MOST:
        return []
    while (start := text.find("{", at)) >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            found += [value[header.field]] if header.field in value else []
        outside += text[at:start]
        at = end
    named = rf"[\"'`]{re.escape(header.field or '')}[\"'`]\s*:"
    return [] if re.search(named, outside + text[at:]) else found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON in which no name stands twice.

    Raises:
        ValueError: One does.
    """
    if len(value := dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return value
