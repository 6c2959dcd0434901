"""The critic of short answers: a score computed from the text of a prompt and of a response alone.

It does not check that an answer is true or makes sense; it counts these features:

    length as told: sentences, points, or words   +2 × min(n, told) / max(n, told), 1 if as told
    word used, first word, last sign as told      +1
    takes up a word of the question               +1
    ends with a whole sentence, or a point        +1
    repetition                                    -2 × share of words that end a pair seen before
    speaks of itself: SmolLM, assistant, …        -1
    blank                                         -3

The best answer scores 5. As a `function` annotator: `function: smollm`.
"""

import re

from prefopt_core.worlds.smollm.instructions import BEGIN, FORMS, MARK, NUMBERS, QUESTION, USE
from prefopt_core.worlds.stories.critic import repetition

BEST = 5.0
BLANK = -3.0
REPETITION = -2.0
OF_ITSELF = -1.0

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_POINT = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+(?=\S)", re.MULTILINE)
_SENTENCE = re.compile(r"[^.!?\n]*[^\W_][^.!?\n]*(?:[.!?]+|\n|$)")
_FINISHED = re.compile(r"[.!?][\"'”’)*]*$")
_RANGE = re.compile(r"(\d+) to (\d+) words")
_OF_ITSELF = re.compile(r"\b(?:smollm|hugging face|assistant|chatbot|ai|language model)\b", re.I)
_WORDING = {
    kind: re.compile(re.escape(kind).replace(r"\{\}", r"(\w+)") + "$") for kind in (USE, BEGIN)
}
# fmt: off
_COMMON = {"about", "advice", "alien", "also", "best", "better", "beginner", "child", "describe",
           "different", "does", "explain", "from", "give", "have", "hurry", "into", "know", "learn",
           "like", "makes", "mean", "people", "should", "some", "somebody", "something", "special",
           "surprising", "tell", "that", "they", "this", "want", "what", "when", "where", "will",
           "with", "would", "your"}
# fmt: on


def score(prompt: str, response: str) -> float:
    r"""Judge an answer by the two instructions behind a question; higher is better, at best 5.0.

    >>> prompt = "What can we learn from bees? Answer in one sentence. End with a question."
    >>> score(prompt, "Bees work for each other, so why should we not?")
    5.0
    >>> score(prompt, "1. I am an AI assistant.\n2. I can")
    1.0
    """
    words = [word.lower() for word in _WORD.findall(response)]
    if not words:
        return BLANK
    question, form, wording = read_prompt(prompt)
    total = 2 * length_kept(form, response) + wording_kept(wording, response)
    total += not {word[:5] for word in words}.isdisjoint(subject(question))
    total += ends_whole(response)
    total += REPETITION * repetition(words)
    total += OF_ITSELF * (_OF_ITSELF.search(response) is not None)
    return round(total, 6)


def read_prompt(prompt: str) -> tuple[str, str, str]:
    """Question, instruction of length, instruction of wording; the last two "" if there are none.

    >>> read_prompt('Why tea? Use 5 to 15 words. Use the word "never".')
    ('Why tea?', 'Use 5 to 15 words.', 'Use the word "never".')
    """
    form = next((form for form in FORMS if f" {form} " in prompt), "")
    question, _, wording = prompt.partition(f" {form} ") if form else (prompt, "", "")
    return question, form, wording


def length_kept(form: str, response: str) -> float:
    """In [0, 1]: 1 is the number of sentences, points or words that was told; 0 without any.

    >>> length_kept("Answer in two sentences.", "Tea. It is hot! Is it?")
    0.6666666666666666
    """
    if told := _RANGE.search(form):
        low, high = map(int, told.groups())
        said = len(_WORD.findall(response))
        return min(said / low, high / said, 1.0) if said else 0.0
    wanted = next((n for n, name in enumerate(NUMBERS, 1) if f" {name} " in form), 0)
    found = points(response) if "points" in form else sentences(response)
    return min(wanted, found) / max(wanted, found, 1)


def sentences(response: str) -> int:
    r"""How many sentences: ended by a sign, by a new line, or by the end.

    >>> sentences("1. Really?! Yes.\n2. No")
    3
    """
    return len(_SENTENCE.findall(_POINT.sub("", response)))


def points(response: str) -> int:
    """How many lines begin with a number or a bullet."""
    return len(_POINT.findall(response))


def wording_kept(wording: str, response: str) -> bool:
    """Whether the word is used, begins the text, or the sign ends it; False if nothing was told."""
    words = [word.lower() for word in _WORD.findall(response)]
    if told := _WORDING[USE].match(wording):
        return told[1].lower() in words
    if told := _WORDING[BEGIN].match(wording):
        return words[:1] == [told[1].lower()]
    sign = {QUESTION: "?", MARK: "!"}.get(wording)
    return sign is not None and response.rstrip("\"'”’)* \n").endswith(sign)


def subject(question: str) -> set[str]:
    """The first five letters of the words that say what a question is about.

    >>> sorted(subject("Why do people like riding bicycles?"))
    ['bicyc', 'ridin']
    """
    words = [word.lower() for word in _WORD.findall(question)]
    telling = [w for w in words if len(w) > 3 and w not in _COMMON]
    return {w[:5] for w in telling or [words[-1]]} if words else set()


def ends_whole(response: str) -> bool:
    r"""Whether the last sentence has an end; a list's last point needs no sign of its own.

    >>> ends_whole("1. Tea\n2. Hot milk"), ends_whole("It is a"), ends_whole("It is.")
    (True, False, True)
    """
    last = response.rstrip().rpartition("\n")[2]
    return bool(_FINISHED.search(last) or _POINT.match(last))
