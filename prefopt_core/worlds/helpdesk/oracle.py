"""The help desk's judge: a score computed from the text of a prompt and of a response alone.

It finds the sentences of the grammar anywhere in the response, whoever wrote it, and compares the
facts in them with those of the prompt:

    greeting by name     +1    another name            -0.5
    apology              +1    wrong issue or item     -1 for each of the two
    fix                  +2.5  wrong issue or amount   -1
    closing              +0.5  any of these four again -0.5
    vague sentence       -0.3  padding sentence        -0.5
    rude sentence        -2    text it cannot read     -2 × its share of the characters
    blank response       -4    ends in mid-sentence    -1

The best response scores 5.0; there is no worst one. As a `function` annotator:
`function: helpdesk`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from prefopt_core.worlds.helpdesk.grammar import COMPLAINTS, Facts, Sentence, sentences

BEST = 5.0
BLANK = -4.0
REPEATED = -0.5
UNFINISHED = -1.0
UNREADABLE = -2.0
EACH = {"bare greeting": 0.0, "vague": -0.3, "padding": -0.5, "rude": -2.0}


@dataclass(frozen=True)
class Said:
    """A sentence of the grammar found in a response, and what fills its blank, if it has one."""

    sentence: Sentence
    blank: str | None


def score(prompt: str, response: str) -> float:
    """Judge a response to a customer's message; higher is better, 5.0 is the best.

    >>> prompt = "Hi, my red lamp arrived broken. What now? Yours, Ann"
    >>> score(prompt, "Hello Ann, A new one leaves our store today.")
    3.5
    >>> score(prompt, "Hello Ben, A new one leaves our")
    -2.78
    """
    return _score(read_prompt(prompt), response)


def impression(prompt: str, response: str) -> float:
    """Judge without checking facts: every name, item, issue and amount is taken to be right.

    A judge with a systematic error, like a reward model that was trained on other data: it scores
    the form of a response.

    >>> prompt = "Hi, my red lamp arrived broken. What now? Yours, Ann"
    >>> impression(prompt, "Hello Ben, Please send it back and we swap it.")
    3.5
    """
    return _score(None, response)


def _score(facts: Facts | None, response: str) -> float:
    text = response.strip()
    if not text:
        return BLANK
    total, seen = 0.0, set()
    found, readable = read_response(text)
    for said in found:
        kind = said.sentence.kind
        if kind in EACH:
            total += EACH[kind]
        else:
            total += REPEATED if kind in seen else _worth(said, facts)
            seen.add(kind)
    total += UNREADABLE * (1 - readable) + UNFINISHED * (text[-1] not in ".!?")
    return round(total, 6)


def read_prompt(prompt: str) -> Facts:
    """Recover the facts from the text of a prompt; `None` for each that it does not state."""
    name = next(reversed(re.findall(r"\w+", prompt)), None)  # the signature
    for issue, pattern in _COMPLAINTS:
        if match := pattern.search(prompt):
            stated = match.groupdict()
            return Facts(name, stated["item"], issue, stated.get("amount"))
    return Facts(name, item=None, issue=None, amount=None)


def read_response(response: str) -> tuple[list[Said], float]:
    """Find the sentences of the grammar; return them, and the share of the text they make up.

    The share is of characters that are not white space, from 0 to 1; 0 for a blank text.
    """
    found, readable = [], 0
    for match in _ANY_SENTENCE.finditer(response):
        group = match.lastindex or 0
        sentence = _SENTENCES[group]
        blank = match[group + 1] if "{" in sentence.template else None
        found.append(Said(sentence, blank))
        readable += _size(match[0])
    return found, readable / max(1, _size(response))


def _worth(said: Said, facts: Facts | None) -> float:
    """The score of a sentence whose kind counts once; without facts every fact is right."""
    sentence, blank = said.sentence, said.blank
    right_issue = facts is None or sentence.issue == facts.issue
    match sentence.kind:
        case "greeting":
            return 1.0 if facts is None or blank == facts.name else -0.5
        case "apology":
            right_item = facts is None or blank == facts.item
            return (0.5 if right_issue else -0.5) + (0.5 if right_item else -0.5)
        case "fix":
            right_amount = facts is None or blank in (None, facts.amount)
            return 2.5 if right_issue and right_amount else -1.0
    return 0.5  # a closing


def _size(text: str) -> int:
    return len("".join(text.split()))


def _pattern(template: str) -> str:
    """A regular expression for a template, with a group for each of its blanks."""
    return re.sub(r"\\{(\w+)\\}", lambda blank: _BLANKS[blank[1]], re.escape(template))


def _any_of(sentences: Iterable[Sentence]) -> tuple[re.Pattern[str], dict[int, Sentence]]:
    """One expression for all sentences, and the number of its group → the sentence."""
    patterns, groups, group = [], {}, 1
    for sentence in sentences:
        pattern = re.sub(r"\?P<\w+>", "", f"({_pattern(sentence.template)})")
        patterns.append(pattern)
        groups[group] = sentence
        group += re.compile(pattern).groups
    return re.compile("|".join(patterns)), groups


_BLANKS = {
    "name": r"(?P<name>[A-Z]\w*)",
    "item": r"(?P<item>[a-z]+)",
    "colour": r"(?P<colour>[a-z]+)",
    "amount": r"(?P<amount>\d+)",
}
_ANY_SENTENCE, _SENTENCES = _any_of(sentences())
_COMPLAINTS = [
    (issue, re.compile(_pattern(template)))
    for issue, templates in COMPLAINTS.items()
    for template in templates
]
