"""Entries drawn for tests of files, whatever is in them, and their way there and back."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Question, Shown, Verdict

HOSTILE = [
    '=HYPERLINK("http://evil","x")', "+1", "-1+2", "@SUM(A1)", "'=1", "''+", "\t=1", "1/2", "007",
    "TRUE", "Mar 5", "1e5", "a,b;c\td", 'say "hi"', "line\nline", "line\r\nline", "\r", "", " x ",
    "</script><script>alert(1)</script>", "<!--", "<img src=x onerror=alert(1)>", "\u2028", "q2-12",
    "\ufeff", '[{"role": "user", "content": "x"}]', "[{", "\n\nHuman: hi\n\nAssistant: ho",
]  # fmt: skip
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
TEXTS = ANY | st.sampled_from(HOSTILE)
SCORES = st.floats(allow_nan=False, allow_infinity=False)
STATES = st.sampled_from(["tie", "both_bad", "skipped", "invalid"])
NAMES = st.sampled_from(["", "alice", "=cmd", "Bob O'Neil", "模型"])


def given_to(size):
    """Everything that a verdict on so many responses may say."""
    scores = st.lists(SCORES, min_size=size, max_size=size).map(lambda s: Verdict.scored(*s))
    ranks = st.lists(st.integers(1, size), min_size=size, max_size=size).map(Verdict.ranked)
    said = STATES.map(Verdict) | scores | ranks
    if size == 2:
        said |= st.floats(0, 1).map(Verdict.preferred) | st.sampled_from([0.0, 1.0]).map(
            Verdict.preferred
        )
    return said


@st.composite
def entries(draw, sizes=(1, 2, 3, 5)):
    messages = draw(
        st.builds(lambda text: [{"role": "user", "content": text}], TEXTS)
        | st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": TEXTS}),
            min_size=1,
            max_size=3,
        )
    )
    size = draw(st.sampled_from(sizes))
    responses = draw(st.lists(TEXTS, min_size=size, max_size=size, unique=True))
    prompt_id = prompt_id_of(messages)
    shown = tuple(Shown(candidate_id_of(prompt_id, text), text) for text in responses)
    question = Question(prompt_id, messages, shown)
    verdict = draw(st.none() | given_to(size))
    if verdict:
        numbers = st.none() | st.integers(0, 10**6)
        verdict = replace(
            verdict,
            by=draw(NAMES),
            why=draw(TEXTS),
            usage=Usage(draw(numbers), draw(numbers), draw(st.none() | st.floats(0, 1e3))),
            seconds=draw(st.none() | st.floats(0, 1e6)),
        )
    at = draw(st.none() | st.integers(0, 2**31).map(float)) if verdict else None
    return Entry(question.question_id, question, verdict, '{"people":{}}', "1", at=at)


def usual():
    """An entry that every format can hold."""
    messages = [{"role": "user", "content": "Which?"}]
    prompt_id = prompt_id_of(messages)
    shown = tuple(Shown(candidate_id_of(prompt_id, text), text) for text in ("this", "that"))
    question = Question(prompt_id, messages, shown)
    return Entry(question.question_id, question, Verdict.preferred(1.0))


USUAL = usual()


def there_and_back(format, entries, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{ending}"
        lost = list(WRITERS[format](entries, path))
        return path.read_bytes(), lost, list(READERS[format](path))
