"""Files that somebody else wrote, or changed: whatever is in them, they are refused in words."""

import copy
import json
import re
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.ground.errors import DataError
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict
from tests.asked import question

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
ASKED = question("Which?", "this", "that")
ENTRY = Entry(
    ASKED.question_id, ASKED, Verdict.preferred(1.0, by="ada", why="so"), '{"people":{}}', "1"
)
ROW = {"id": ASKED.question_id, "responses": 2, "annotator": "{}", "guidelines": "1",
       "verdict": "1", "by": "ada", "why": "", "seconds": 1.5, "at": 1.0}  # fmt: skip


def written(format):
    if format == "html":
        return {"prefopt": 1, "verdicts": [ROW]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.json"
        list(WRITERS[format]([ENTRY], path))
        return json.loads(path.read_text())


def places(value, place=()):
    """The path to every part of a value."""
    yield place
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, part in value.items() if isinstance(value, dict) else ():
        yield from places(part, (*place, key))


@pytest.mark.parametrize(
    "format",
    [
        "html",
        "label-studio",
        "argilla",
        "trl",
        "ultrafeedback",
        "nectar",
        "helpsteer2",
        "helpsteer3",
    ],
)
@settings(max_examples=60)
@given(data=st.data())
def test_a_file_with_any_part_changed_is_read_or_refused(format, data):
    rows = copy.deepcopy(written(format))
    place = data.draw(st.sampled_from([place for place in places(rows) if place]))
    part = rows
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = data.draw(JSON)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.json"
        path.write_text(json.dumps(rows))
        with suppress(DataError):
            entries = list(READERS[format](path))
            assert all(entry.verdict is None or entry.where for entry in entries)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ('"why": "\\ud800"', "half of a character"),
        ('"at": 1e300', "is no time at which labels are given"),
        (f'"seconds": {"9" * 400}', "'seconds' is '999"),
        ('"seconds": NaN', "'seconds' is 'nan'"),
    ],
)
def test_what_no_store_could_keep_is_refused(part, said, write):
    name = part.partition(":")[0]
    row = ", ".join(f"{json.dumps(n)}: {json.dumps(v)}" for n, v in ROW.items() if n not in name)
    path = write("x.json", f'{{"prefopt": 1, "verdicts": [{{{row}, {part}}}]}}')
    with pytest.raises(DataError, match=re.escape(said)):
        list(READERS["html"](path))


@pytest.mark.parametrize("size", ["999999999", "1" * 5000])
def test_a_number_of_responses_takes_no_memory(size, write):
    sheet = f"prompt,verdict,question_id\np,1,q{size}-00\n"
    with pytest.raises(DataError, match="'question_id' is"):
        list(READERS["csv"](write("x.csv", sheet)))
    saved = {"prefopt": 1, "verdicts": [ROW | {"responses": int(size[:9]), "verdict": "x"}]}
    with pytest.raises(DataError, match="'x' is no verdict"):
        list(READERS["html"](write("x.json", json.dumps(saved))))
