"""Samples before and after: as many of each outcome, drawn without looking at them."""

import polars as pl
import pytest

from prefopt_core.ground.tables import empty
from prefopt_core.reports.page import Page, SideBySide, Text
from prefopt_core.reports.render import render_html
from prefopt_core.reports.samples import Answers, before_and_after

EVIL = '<script>alert("x")</script>'


def prompts(count):
    ids = [f"p{number:03}" for number in range(count)]
    said = [[{"role": "user", "content": f"prompt {number} {EVIL}"}] for number in range(count)]
    return pl.DataFrame({"prompt_id": ids, "prompt": said})


def answers(scores, name):
    """A response to each prompt, and its score; None: the annotator skipped it."""
    rows = [(f"p{n:03}", f"{name}{n}", 0, f"{name} {n}\n{EVIL}") for n in range(len(scores))]
    columns = ["prompt_id", "candidate_id", "sample", "response"]
    verdicts = [
        {
            "question_id": f"{name}{n}", "prompt_id": f"p{n:03}", "responses": [f"{name}{n}"],
            "annotator": "gold", "by": "", "state": "skipped" if score is None else "given",
            "scores": None if score is None else [float(score)],
        }
        for n, score in enumerate(scores)
    ]  # fmt: skip
    grades = pl.DataFrame(verdicts, schema_overrides=empty("verdicts").schema)
    responses = pl.DataFrame(rows, schema=columns, orient="row")
    return Answers(responses, pl.concat([empty("verdicts"), grades], how="diagonal"))


def shown(before, after):
    parts = before_and_after(prompts(len(before)), answers(before, "old"), answers(after, "new"))
    return parts, [part for part in parts if isinstance(part, SideBySide)]


def test_two_of_each_outcome_are_shown_those_with_the_smallest_ids():
    parts, samples = shown([1] * 9, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert [sample.note for sample in samples] == ["better"] * 2 + ["worse"] * 2 + ["as good"] * 2
    numbers = [sample.prompt.split()[1] for sample in samples]
    assert numbers == ["6", "7", "0", "1", "3", "4"]
    assert [sample.other.better for sample in samples] == [True, True, False, False, None, None]
    (said,) = (part.text for part in parts if isinstance(part, Text))
    assert "Of 9 held-out prompts 3 have a better response" in said
    assert "3 a worse one and 3 one that is as good" in said


def test_a_run_that_only_loses_shows_only_that():
    _, samples = shown([1, 1, 1], [0, 0, 0])
    assert [sample.note for sample in samples] == ["worse"] * 2
    assert samples[0].one.by == "before: score 1"
    assert samples[0].other.by == "after: score 0"


@pytest.mark.parametrize(("before", "after"), [([None], [1]), ([1], [None])])
def test_what_nobody_scored_is_not_shown(before, after):
    assert shown(before, after) == ([], [])


def test_responses_keep_their_lines_and_are_no_markup():
    parts, samples = shown([1], [2])
    assert samples[0].other.text == f"new 0\n{EVIL}"
    page = render_html(Page("t", parts))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3
