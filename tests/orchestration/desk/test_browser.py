"""The page as people have it: keys, a real browser, a server that is killed."""

import json
from contextlib import ExitStack

import pytest

from prefopt_core.labels.store import LabelStore
from tests import chromium
from tests.people import leave, question_on

pytestmark = [pytest.mark.slow, chromium.needs_chromium]

_CODE = (
    "Use a loop:\n\n```python\n"
    + "x = ["
    + "1, " * 60
    + "]\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"
)
_OVERFLOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
_CONTRASTS = """
(() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const says = (element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((element) => element.checkVisibility() && says(element))
    .map((element) => {
      const both = [light(getComputedStyle(element).color), light(behind(element))];
      const [dim, bright] = both.sort((x, y) => x - y);
      return [(bright + 0.05) / (dim + 0.05), element.outerHTML.slice(0, 60)];
    });
})()
"""
_PLACES = """
["header", "footer", ".verdicts:not([hidden]) button", ".response", ".prompt"].map((part) => {
  const { left, top, width } = document.querySelector(part).getBoundingClientRect();
  return [left, top, width];
})
"""


@pytest.fixture
def served(command, tools, store):
    """Serve the open batch on a port; returns the process and the address."""

    def served(*arguments, port=None):
        process = command("annotate", *arguments, "--port", port or tools.free_port())
        line = process.stdout.readline()
        assert "http://" in line, line + process.stdout.read()
        return process, line.split()[-1]

    return served


@pytest.fixture
def browser(tmp_path):
    """Open a browser of its own for each person, by name; returns the tab."""
    with ExitStack() as stack:

        def browser(by, address, width=1280, height=800, **looks):
            tab = stack.enter_context(chromium.tab(tmp_path / f"profile of {by}"))
            tab.look_like(width, height, **looks)
            tab.open(address)
            tab.wait_for("!!document.querySelector('#name button:enabled')")
            tab.evaluate(f"document.querySelector('#by').value = {json.dumps(by)}")
            tab.evaluate("document.querySelector('#name button').click()")
            tab.wait_for("document.body.dataset.shown")
            return tab

        yield browser


def verdicts(store):
    with LabelStore.of(store).connected() as connection:
        return connection.execute(
            "SELECT said_by, prompt_id, state, said, responses FROM verdicts ORDER BY bought_at"
        ).fetchall()


def answer(tab, key):
    """Press a key once the page takes one; wait for what comes next."""
    shown = tab.wait_for("document.body.dataset.shown")
    # What was shown just now is not answered by a second press of the same key.
    tab.evaluate("new Promise((later) => setTimeout(later, 400))")
    tab.press(key)
    tab.wait_for(f"document.body.dataset.shown !== {json.dumps(shown)}")


def test_a_batch_by_keyboard_outlives_the_server(served, store, browser, tools):
    questions = [question_on(i) for i in range(8)]
    leave(LabelStore.of(store), questions, account="us")
    process, address = served()
    tab = browser("Ada", address)
    for key in "12tbs":
        answer(tab, key)
    tools.kill(process)
    process.wait()
    # The page is told nothing: the next key finds out, and waits for the server.
    tab.evaluate("new Promise((later) => setTimeout(later, 400))")
    tab.press("1")
    tab.wait_for("document.querySelector('#notice').textContent.includes('does not answer')")
    assert len(verdicts(store)) == 5
    _, again = served(port=address.rpartition(":")[2])
    assert again == address
    tab.wait_for("document.querySelector('#progress').textContent.startsWith('6 of 8')")
    tab.open(address)  # a tab that was closed goes on, too
    tab.wait_for("document.querySelector('#progress')?.textContent.startsWith('6 of 8')")
    answer(tab, "2")
    answer(tab, "1")
    assert "All done" in tab.text()
    found = verdicts(store)
    assert [row[1] for row in found] == [question.prompt_id for question in questions]
    assert [row[2] for row in found] == [
        "given", "given", "tie", "both_bad", "skipped", "given", "given", "given",
    ]  # fmt: skip
    assert [json.loads(row[3]).get("preference") for row in found] == [
        1.0, 0.0, None, None, None, 1.0, 0.0, 1.0,
    ]  # fmt: skip


def test_two_people_share_a_batch_and_meet_in_the_overlap(served, store, browser):
    kept = LabelStore.of(store)
    shared, alone = [question_on(i) for i in range(2)], [question_on(i) for i in range(2, 6)]
    leave(kept, shared, people=2)
    leave(kept, alone)
    _, address = served()
    ada, ben = browser("Ada", address), browser("Ben", address)
    for _ in range(4):
        for tab in (ada, ben):
            answer(tab, "1")
    assert "All done" in ben.text()
    ada.wait_for("document.body.innerText.includes('All done')")  # by itself
    by = {name: [row[1] for row in verdicts(store) if row[0] == name] for name in ("Ada", "Ben")}
    assert len(by["Ada"]) == len(by["Ben"]) == 4
    assert {*by["Ada"]} & {*by["Ben"]} == {question.prompt_id for question in shared}
    assert {*by["Ada"]} | {*by["Ben"]} == {question.prompt_id for question in shared + alone}


def test_keys_pressed_twice_answer_one_question_and_undo_brings_it_back(served, store, browser):
    leave(LabelStore.of(store), [question_on(i) for i in range(4)])
    _, address = served()
    tab = browser("Ada", address)
    answer(tab, "1")
    for _ in range(5):
        tab.press("1")
    tab.evaluate("new Promise((later) => setTimeout(later, 300))")
    assert len(verdicts(store)) == 1
    answer(tab, "u")
    assert verdicts(store) == []
    tab.press("w")
    for key in "2 1":
        tab.press(key)
    assert tab.evaluate("document.querySelector('#why').value") == "2 1"
    tab.press("Enter")
    answer(tab, "2")
    ((_, prompt_id, state, said, _),) = verdicts(store)
    assert (prompt_id, state, said) == (question_on(0).prompt_id, "given", '{"preference": 0.0}')


def test_more_than_two_are_ranked_and_one_is_scored(served, store, browser):
    leave(LabelStore.of(store), [question_on(1, "a", "b", "c", "d"), question_on(2, "alone")])
    _, address = served()
    tab = browser("Ada", address)
    tab.evaluate("new Promise((later) => setTimeout(later, 400))")
    for key in ("1", "Backspace", "3", "1", "=", "2"):
        tab.press(key)
    answer(tab, "Enter")
    answer(tab, "4")
    assert [row[3] for row in verdicts(store)] == [
        '{"scores": [-2.0, -2.0, -1.0, -4.0]}', '{"scores": [4.0]}',
    ]  # fmt: skip


def test_what_a_response_holds_does_not_run(served, store, browser):
    attack = (
        "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    )
    leave(LabelStore.of(store), [question_on(1, attack, "b"), question_on(2)])
    _, address = served()
    tab = browser("Ada", address)
    assert "onerror" in tab.text()
    # Should some text ever get through the cleaning, the page's policy still stops it.
    tab.evaluate(f"document.querySelector('.response').innerHTML = {json.dumps(attack)}")
    script = "document.body.append(Object.assign(document.createElement('script'), {text: \"%s\"}))"
    tab.evaluate(script % "document.title = 'owned'")
    tab.evaluate("new Promise((later) => setTimeout(later, 300))")
    assert tab.evaluate("document.title") == "prefopt: which is better?"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_in_light_and_dark(served, store, browser, dark):
    leave(LabelStore.of(store), [question_on(1, _CODE, "b"), question_on(2)])
    _, address = served()
    tab = browser("Ada", address, dark=dark)
    contrasts = tab.evaluate(_CONTRASTS)
    assert len(contrasts) > 20
    assert not [found for found in contrasts if found[0] < 4.5]
    colours = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    assert (sum(tab.evaluate(colours)) < 200) == dark


def test_a_phone_has_all_in_reach(served, store, browser):
    leave(LabelStore.of(store), [question_on(1, _CODE, "b " * 400), question_on(2)])
    _, address = served()
    tab = browser("Ada", address, width=360, height=740, phone=True)
    assert not tab.evaluate(_OVERFLOW)
    tops = tab.evaluate(
        "[...document.querySelectorAll('.response')].map((r) => r.getBoundingClientRect().top)"
    )
    assert tops[0] + 100 < tops[1]
    buttons = tab.evaluate(
        "[...document.querySelectorAll('footer button')].filter((b) => b.checkVisibility())"
        ".map((b) => { const r = b.getBoundingClientRect();"
        " return [r.left, r.right, r.bottom, r.height]; })"
    )
    assert len(buttons) == 6
    for left, right, bottom, height in buttons:
        assert left >= 0
        assert right <= 360
        assert bottom <= 740
        assert height >= 30
    tab.evaluate("new Promise((later) => setTimeout(later, 400))")
    tab.evaluate("document.querySelector('.verdicts:not([hidden]) [data-key=\"2\"]').click()")
    tab.wait_for("document.querySelector('#progress').textContent.startsWith('1 of 2')")
    assert [row[2] for row in verdicts(store)] == ["given"]


def test_nothing_jumps_between_questions(served, store, browser):
    leave(
        LabelStore.of(store), [question_on(1, "short", "b"), question_on(2, _CODE * 9, "b" * 9000)]
    )
    _, address = served()
    tab = browser("Ada", address)
    before = tab.evaluate(_PLACES)
    answer(tab, "1")
    assert tab.evaluate(_PLACES) == before
