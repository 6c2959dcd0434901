"""The critic of stories: a score computed from the text of an opening and of what follows alone.

It does not check that a story makes sense; it counts these features, anywhere in the text:

    the hero is named again                        +1
    pronouns                                       +1 × share that fit the hero, -1 × the rest
    somebody speaks, in closed quotation marks     +1
    a kind act: helps, shares, hugs, thanks, …     +1
    sad, scared, … and later glad, smiled, …       +1    never glad again  -1
    another name from the openings                 -0.5 each, at most two
    repetition                                     -2 × share of words that end a pair seen before
    begins anew: "once upon a time"                -1
    blank                                          -3

The best story scores 5; there is no reward for length or for an ending. As a `function` annotator:
`function: stories`.
"""

import re
from itertools import pairwise

from prefopt_core.worlds.stories.openings import NAMES

BEST = 5.0
BLANK = -3.0
STRANGER = -0.5
MOST_STRANGERS = 2
REPETITION = -2.0
BEGUN_ANEW = -1.0

# fmt: off
SHE, HE = {"she", "her", "hers", "herself"}, {"he", "him", "his", "himself"}
KIND = {"help", "helps", "helped", "helping", "share", "shares", "shared", "sharing", "hug", "hugs",
        "hugged", "thank", "thanks", "thanked", "sorry", "forgave"}
TROUBLE = {"sad", "scared", "cry", "cried", "crying", "hurt", "angry", "afraid", "upset", "lost",
           "worried", "lonely", "mad"}
GLAD = {"happy", "glad", "smiled", "smile", "laughed", "proud", "excited", "fun", "safe", "better"}
# fmt: on
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_SPEECH = re.compile(r'"[^"]*\w[^"]*"')


def score(prompt: str, response: str) -> float:
    """Judge how a story goes on after its opening; higher is better, 5.0 is the best.

    >>> prompt = "Once upon a time, there was a little girl named Lily. She loved to"
    >>> score(prompt, 'play. She was sad. Then Tom came. "I can help," he said. Lily smiled.')
    3.5
    """
    words = _WORD.findall(response)
    if not words:
        return BLANK
    small = [word.lower() for word in words]
    hero = hero_of(prompt)
    strangers = {word for word in words if word in NAMES and word != hero}
    total = float(hero in words)
    total += _pronouns(prompt, small)
    total += bool(_SPEECH.search(response))
    total += not KIND.isdisjoint(small)
    total += _trouble(small)
    total += STRANGER * min(len(strangers), MOST_STRANGERS)
    total += REPETITION * repetition(small)
    total += BEGUN_ANEW * ("once upon a time" in " ".join(small))
    return round(total, 6)


def hero_of(prompt: str) -> str | None:
    """The first word of an opening that is one of `NAMES`; None if there is none."""
    return next((word for word in _WORD.findall(prompt) if word in NAMES), None)


def repetition(words: list[str]) -> float:
    """The share of words that end a pair of words that came before, in [0, 1).

    >>> repetition("the big dog saw the big cat".split())
    0.14285714285714285
    """
    pairs = list(pairwise(words))
    return (len(pairs) - len(set(pairs))) / max(1, len(words))


def _pronouns(prompt: str, words: list[str]) -> float:
    """From -1, all pronouns are of the other sex, to 1; 0 if there are none."""
    opening = [word.lower() for word in _WORD.findall(prompt)]
    own, other = (SHE, HE) if not SHE.isdisjoint(opening) else (HE, SHE)
    fit, misfit = (sum(word in kind for word in words) for kind in (own, other))
    return (fit - misfit) / max(1, fit + misfit)


def _trouble(words: list[str]) -> int:
    """1 for trouble that ends well, -1 for one that does not, 0 for none."""
    last = max((place for place, word in enumerate(words) if word in TROUBLE), default=None)
    if last is None:
        return 0
    return -1 if GLAD.isdisjoint(words[last:]) else 1
