"""The page of questions, opened from disk in a real browser: it works offline and runs nothing."""

import json
import re
import time

import pytest

from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.exchange.taking import Taken, Terms, take
from prefopt_core.ground.errors import DataError
from prefopt_core.labels.questions import Verdict
from tests.chromium import needs_chromium, second_tab, tab

HOSTILE = [
    "</script><script>window.stolen = 1</script>",
    '<img src="x" onerror="window.stolen = 1">',
    "<!--<script>",
    "javascript:alert(1) & &lt;b&gt; \u2028 'quoted' \"doubly\"",
]


@pytest.fixture
def asked(desk, ask):
    """Comparisons, a ranking and a score, of hostile texts."""
    questions = [
        ask(HOSTILE[0], HOSTILE[1], HOSTILE[2]),
        ask(
            [{"role": "system", "content": HOSTILE[3]}, {"role": "user", "content": "Hi"}], "a", "b"
        ),
        ask("Which?", "this", "that"),
        ask("And?", "one", "two"),
        ask("Rank", "x", "y", "z"),
        ask("Score", HOSTILE[3]),
    ]
    desk.ask(*questions)
    return questions


@pytest.fixture
def file(desk, asked, tmp_path):
    path = tmp_path / "questions.html"
    list(WRITERS["html"](desk.open, path))
    return path


def test_the_page_fetches_nothing_and_has_texts_as_data_only(file):
    text = file.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    page = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=|https?://|@import|url\(|innerHTML|eval\(", page)


def test_a_guide_stands_above_the_questions_as_text(desk, asked, tmp_path, write):
    path = tmp_path / "guided.html"
    list(WRITERS["html"](desk.open, path, guide=write("guide.md", "Be <b>fair</b>.")))
    assert "Be &lt;b&gt;fair&lt;/b&gt;." in path.read_text("utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        list(WRITERS["html"](desk.open, path, guide=tmp_path / "none.md"))


@needs_chromium
@pytest.mark.slow
def test_a_person_answers_by_keys_closes_the_tab_goes_on_and_saves(desk, asked, file, tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with tab(tmp_path / "profile") as page:
        page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        page.open(file.as_uri())
        page.wait_for("document.querySelectorAll('.response').length === 2")
        assert HOSTILE[0] in page.text()
        assert HOSTILE[1] in page.text()
        for key in ("1", "t", "2"):
            page.press(key)
        page.press("u")  # the third again
        page.press("b")
        page.wait_for("document.getElementById('progress').textContent.includes('4 of 6, 3')")

        with second_tab(tmp_path / "profile") as later:  # on the disk a moment after the last key
            later.open(file.as_uri())
            later.wait_for("document.getElementById('progress')?.textContent.includes('4 of 6, 3')")
            page.open("about:blank")
            page.open(file.as_uri())
            page.wait_for("document.getElementById('progress')?.textContent.includes('4 of 6, 3')")
        page.press("s")
        page.press("3")
        page.press("1")
        page.press("4")
        page.wait_for("document.getElementById('progress').textContent.includes('6 answered')")
        page.evaluate("document.getElementById('save').click()")
        assert "Say who you are first" in page.text()
        page.send("Input.insertText", text="Ada Lovelace")
        page.evaluate("document.getElementById('save').click()")
        page.wait_for("document.getElementById('note').textContent.includes('6 verdicts')")
        assert page.evaluate("window.stolen") is None
        saved = downloads / "verdicts-Ada-Lovelace.json"
        deadline = time.monotonic() + 20
        while not saved.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    taken = take(desk.kept, READERS["html"](saved), Terms())
    assert taken == Taken(labels=6, paid=6)
    said = [desk.said[question.key][0] for question in asked]
    assert [(v.state, v.preference, v.scores) for v in said] == [
        ("given", 1.0, None),
        ("tie", None, None),
        ("both_bad", None, None),
        ("skipped", None, None),
        ("given", None, (-2.0, -3.0, -1.0)),
        ("given", None, (4.0,)),
    ]
    assert {v.by for v in said} == {"Ada Lovelace"}
    assert all(v.seconds is not None for v in said)
    assert desk.open == []


@needs_chromium
@pytest.mark.slow
def test_two_tabs_of_one_page_do_not_forget_each_others_verdicts(file, tmp_path):
    profile = tmp_path / "profile"
    with tab(profile) as one, second_tab(profile) as other:
        for page in (one, other):
            page.open(file.as_uri())
            page.wait_for("document.querySelectorAll('.response').length === 2")
        one.press("1")
        other.wait_for("document.getElementById('progress').textContent.includes('2 of 6, 1')")
        other.press("2")
        one.wait_for("document.getElementById('progress').textContent.includes('3 of 6, 2')")


def answers(*rows):
    return json.dumps({"prefopt": 1, "verdicts": list(rows)})


def test_what_the_page_saved_is_checked_row_by_row(desk, asked, write):
    (entry, *_) = desk.open
    row = {"id": entry.question_id, "responses": 2, "annotator": entry.annotator,
           "guidelines": "1", "verdict": "1", "by": "Ada", "why": "", "seconds": 1.5}  # fmt: skip
    for changed, said in (
        ({"verdict": "4"}, "verdict 1: '4' is no verdict; expected 1, 2, tie"),
        ({"responses": 3, "verdict": "1>2>3"}, "no verdict on 2 responses; expected 1, 2, tie"),
        ({"id": "00"}, "such a question was never asked from this store"),
        ({"by": ""}, "it does not say who gave the verdict"),
        ({"seconds": "x"}, "'seconds' is 'x'; expected a number"),
        ({"why": {}}, "'why' is '{}'; expected a text"),
    ):
        path = write("saved.json", answers(row | changed))
        with pytest.raises(DataError, match=re.escape(said)):
            take(desk.kept, READERS["html"](path), Terms())
    assert desk.verdicts == []
    take(desk.kept, READERS["html"](write("saved.json", answers(row))), Terms())
    assert desk.verdicts[0].verdict == Verdict.preferred(1.0, by="Ada", seconds=1.5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"verdicts": 1}', '{"verdicts": [1]}'])
def test_what_the_page_did_not_save_is_refused(write, text):
    with pytest.raises(DataError, match=r"saved\.json(: not JSON| is not what the page)"):
        list(READERS["html"](write("saved.json", text)))
