"""Pages that are made again only when what they are made of has changed."""

import pytest

from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.pages import put_page_of


@pytest.fixture
def page(store):
    """Put a page that counts how often it was made; returns (path, times)."""
    times = []

    def page(text="page", **inputs):
        def make():
            times.append(1)
            return text

        return put_page_of(store, "run/report.html", inputs, make), len(times)

    return page


def test_page_is_made_once_of_the_same(page):
    table = Artifact(table="logps", shards=())
    path, _ = page(seed=0, table=table, sections=({"k": 1},))
    before = path.read_bytes()
    assert page(seed=0, table=table, sections=({"k": 1},)) == (path, 1)
    assert path.read_bytes() == before == b"page"


def test_page_is_made_again_of_something_else(page):
    page(seed=0)
    path, times = page("other", seed=1)
    assert (path.read_text(), times) == ("other", 2)


@pytest.mark.parametrize("damage", ["gone", "edited", "note gone", "note cut"])
def test_page_that_is_gone_or_not_as_it_was_is_made_again(page, damage):
    path, _ = page(seed=0)
    note = path.with_name(".report.html.json")
    match damage:
        case "gone":
            path.unlink()
        case "edited":
            path.write_text("mine")
        case "note gone":
            note.unlink()
        case "note cut":
            note.write_text("{")
    assert page(seed=0)[1] == 2
    assert path.read_text() == "page"
    assert page(seed=0)[1] == 2


def test_kill_between_page_and_note_leaves_no_page_that_is_believed(page, monkeypatch):
    page("old", seed=0)
    with monkeypatch.context() as patch:
        patch.setattr("prefopt_core.store.pages.Made.model_dump_json", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            page("new", seed=1)
    path, times = page("old", seed=0)
    assert (path.read_text(), times) == ("old", 3)
