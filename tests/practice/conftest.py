"""Cases from practice: what is asked of a case, and the page docs/practice.md that lists them.

A case is a test with the mark `case`. It returns, as a text, what prefopt made of the situation; a
PrefoptError that it lets through counts as "refused: " and the message. That text must fit
`expected`, in which … stands for anything, and the page must have it.

    @pytest.mark.case(
        "A CSV that pandas wrote with its index",
        reports="huggingface/datasets#5490",
        before="the index was a response; “4” was selected",
        expected="refused: … `responses` …",
    )
    def test_the_index_of_pandas_is_no_response(tmp_path):
        return ", ".join(…)

`make practice` writes the page anew. Its sections are the files here, by their docstrings' first
lines.
"""

import re
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.annotation.table import buy_labels
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.store import LabelStore

PAGE = Path(__file__).parents[2] / "docs" / "practice.md"
TABLE = "<!-- From here on `make practice` writes. -->\n"
HEADER = "| situation | reported | before | expected | got |\n|---|---|---|---|---|\n"
LONGEST = 240
"""Characters of a cell; what is expected is compared with the whole text."""

_written = pytest.StashKey[dict[str, list[str]]]()


@pytest.fixture
def asked():
    """Responses to one prompt, all of them to be scored."""

    def asked(*responses, prompt="Which colour?"):
        messages = [{"role": "user", "content": prompt}]
        prompt_id = prompt_id_of(messages)
        rows = [(prompt_id, candidate_id_of(prompt_id, text), text) for text in responses]
        columns = ["prompt_id", "candidate_id", "response"]
        candidates = pl.DataFrame(rows, columns, orient="row").with_row_index("rank")
        prompts = pl.DataFrame({"prompt_id": [prompt_id], "prompt": [messages]})
        return Asked(candidates.drop("response"), candidates, prompts)

    return asked


@pytest.fixture
def buy(asked, tmp_path):
    """Buy labels for so many responses, in a store of the test's own."""

    def buy(config, labels, store="store"):
        kept = LabelStore(tmp_path / store)
        responses = asked(*(f"Answer {number}." for number in range(labels)))
        table = buy_labels(responses, config, labels, kept, seed=0)
        return table["scores"].list.first().to_list()

    return buy


def pytest_addoption(parser):
    parser.addoption("--write-page", action="store_true", help=f"write {PAGE.name} anew")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "case(situation, reports, before, expected): a case from practice"
    )
    config.stash[_written] = defaultdict(list)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    mark = pyfuncitem.get_closest_marker("case")
    if mark is None:
        return None
    asked = pyfuncitem._fixtureinfo.argnames
    try:
        got = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in asked})
    except PrefoptError as error:
        got = f"refused: {error}"
    got = _without_places(got, pyfuncitem.funcargs.get("tmp_path"))
    expected = mark.kwargs["expected"]
    pattern = ".*".join(map(re.escape, expected.split("…")))
    assert re.fullmatch(pattern, got, re.DOTALL), f"expected {expected!r}, got {got!r}"
    row = _row(*mark.args, got=got, **mark.kwargs)
    if pyfuncitem.config.getoption("--write-page", default=False):
        title = pyfuncitem.module.__doc__.splitlines()[0].removesuffix(".")
        pyfuncitem.config.stash[_written][title].append(row)
    else:
        assert row in PAGE.read_text(), f"docs/practice.md lacks this row; `make practice`: {row}"
    return True


def pytest_sessionfinish(session, exitstatus):
    if not session.config.getoption("--write-page", default=False) or exitstatus:
        return
    written = session.config.stash[_written]
    sections = [
        f"\n## {title}\n\n{HEADER}" + "".join(f"{row}\n" for row in rows)
        for title, rows in written.items()
    ]
    by_hand = PAGE.read_text().partition(TABLE)[0]
    PAGE.write_text(by_hand + TABLE + _contents(written) + "".join(sections))


def _contents(written):
    """A line for every section, with its cases and how many of them were right before."""
    lines = []
    for title, rows in written.items():
        cells = [row.split(" | ") for row in rows]
        right = sum(before in ("right", expected) for _, _, before, expected, _ in cells)
        lines.append(f"* [{title}](#{_anchor(title)}): {len(rows)}, right before: {right}\n")
    return f"\n{sum(map(len, written.values()))} cases.\n\n{''.join(lines)}"


def _without_places(got, folder):
    """No folder of this machine, and no digest of one, stands on the page."""
    for place in filter(None, (folder, PAGE.parents[1])):
        got = got.replace(f"{place}/", "").replace(str(place), ".")
    return got


def _row(situation, *, reports, before, expected, got):
    cells = [_cell(situation), _linked(reports), *map(_cell, (before, expected, got))]
    return f"| {' | '.join(cells)} |"


def _cell(text):
    """A text that a browser shows as it is; between backticks nothing but | needs a mark."""
    text = " ".join(text.split())
    if len(text) > LONGEST:
        text = text[:LONGEST]
        if text.count("`") % 2:
            text = text[: text.rindex("`")]  # half a code is none
        text = text.rstrip(" (") + " …"
    parts = text.split("`")
    for at in range(0, len(parts), 2):
        parts[at] = re.sub(r"\\(?=[!-/:-@[-`{-~])", r"\\\\", parts[at]).replace("<", "&lt;")
    return "`".join(parts).replace("|", "\\|")


def _anchor(title):
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _linked(reports):
    """`owner/repository#1` becomes a link; other words stay as they are."""
    return re.sub(r"([\w.-]+/[\w.-]+)#(\d+)", r"[\1#\2](https://github.com/\1/issues/\2)", reports)
