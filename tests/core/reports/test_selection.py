"""What was selected: figures against a hand case and brute force, pages with every oddity."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from prefopt_core.ground.tables import TABLES, check_table, empty
from prefopt_core.ground.vectors import pack
from prefopt_core.labels.asked import Proposal
from prefopt_core.reports.inspection import (
    MOST_PROMPTS,
    inspect_selection,
    responses_of,
    shown_prompts,
)
from prefopt_core.reports.plots import plane, plot_by_k, plot_responses
from prefopt_core.reports.render import render_html, render_markdown
from prefopt_core.reports.run import round_page, run_page
from prefopt_core.reports.selection import caption, selection_page, table_of_selection
from prefopt_core.reports.set_quality import mean, quality_at_random, quality_of
from prefopt_core.selection.aepo import objective

EVIL = '<script>alert("x")</script>'
MEASURES = ("representativeness", "redundancy", "objective", "coverage", "repeats")


def chosen(prompts, vectors_of):
    """Tables of prompts given as (responses as sampled, selected texts in order of rank)."""
    candidates, selections, texts = [], [], []
    for number, (responses, selected) in enumerate(prompts):
        prompt = f"p{number:03}"
        for sample, text in enumerate(responses):
            candidates.append((prompt, f"{prompt}/{text}", sample, text, "me", "given"))
        for rank, text in enumerate(selected):
            selections.append((prompt, f"{prompt}/{text}", rank, None, None, None))
        texts.append((prompt, [{"role": "user", "content": f"{EVIL} number {number}"}]))
    names = ("prompt_id", "candidate_id", "sample", "response", "policy", "finish_reason")
    responses = empty("candidates").select(names).schema
    candidates = pl.DataFrame(candidates, schema=responses, orient="row")
    distinct = candidates.unique("candidate_id", keep="first", maintain_order=True)
    vectors = np.array([vectors_of(text) for text in distinct["response"]])
    selections = pl.DataFrame(selections, schema=TABLES["selections"].columns, orient="row")
    return Proposal(
        check_table("selections", selections),
        candidates,
        pl.DataFrame(texts, schema=TABLES["prompts"].columns, orient="row"),
        distinct.select("candidate_id").with_columns(vector=pack(vectors)),
    )


def html_of(tables, title):
    return render_html(selection_page(tables, title, f"pool.csv: prompt: {EVIL}"))


def direction(text):
    """East, north, west, south, and in between."""
    angle = {"e": 0.0, "n": 0.5, "w": 1.0, "s": 1.5}[text[0]] * np.pi
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def anywhere(text):
    vector = np.random.default_rng(list(text.encode())).normal(size=8) + 0.5
    return vector / np.linalg.norm(vector)


@pytest.fixture
def pool():
    texts = [f"{EVIL} {n}" for n in range(7)]
    return chosen([([*texts, texts[0]], [texts[2], texts[5]])] * 4, anywhere)


def test_figures_of_a_case_done_by_hand():
    # e twice, n, w; e and n are selected, and w is a right angle from n
    tables = chosen([(["e", "n", "e", "w"], ["n", "e"])], direction)
    (prompt,) = responses_of(tables, ["p000"])
    assert prompt.responses == ["e", "n", "w"]
    assert prompt.counts.tolist() == [2, 1, 1]
    assert prompt.selected == [1, 0]
    (quality,) = inspect_selection(tables).selected
    # r_e = (1 + 0 - 1)/3, its own repetition, n and w; r_n = (0 + 0 + 0)/3
    assert quality.representativeness == pytest.approx(0, abs=1e-6)
    assert quality.redundancy == pytest.approx(0, abs=1e-6)
    assert quality.coverage == pytest.approx(3 / 4, abs=1e-6)
    assert quality.radius == pytest.approx(1, abs=1e-6)
    assert quality.repeats == 0


def test_two_that_say_the_same_are_counted():
    tables = chosen([(["e1", "e2", "n"], ["e1", "e2"])], direction)
    (quality,) = inspect_selection(tables).selected
    assert quality.repeats == 1
    assert inspect_selection(tables).chance[0].repeats == pytest.approx(1 / 3)


@pytest.mark.parametrize("k", [2, 3, 8])
def test_random_is_the_mean_over_all_sets(pool, k):
    (prompt,) = responses_of(pool, ["p001"])
    n = len(prompt.responses)
    every = [quality_of(prompt, subset) for subset in combinations(range(n), min(k, n))]
    expected = quality_at_random(prompt, k)
    for name in MEASURES:
        assert getattr(expected, name) == pytest.approx(mean(every, name))


def test_random_has_objective_zero_where_nothing_repeats():
    texts = [f"text {n}" for n in range(9)]
    (quality,) = inspect_selection(chosen([(texts, texts[:4])], anywhere)).chance
    assert quality.objective == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("k", "within"), [(2, 1e-9), (3, 0.02), (5, 0.02), (8, 0.02), (9, 1e-9)])
def test_curve_goes_where_aepo_does(k, within):
    texts = [f"text {n}" for n in range(9)]
    (prompt,) = responses_of(chosen([(texts, texts[:2])], anywhere), ["p000"])
    every = np.array(list(combinations(range(9), k)))
    best = [texts[at] for at in every[objective(prompt.similarity, every, 1.0).argmax()]]
    inspection = inspect_selection(chosen([(texts, best)], anywhere))
    assert list(inspection.by_k) == sorted({2, 3, 4, 6, 8, k})
    curve = mean(inspection.by_k[k][0], "objective")
    assert curve == pytest.approx(mean(inspection.selected, "objective"), abs=within)


def test_table_says_what_was_counted_and_measured(pool):
    table = table_of_selection(pool, inspect_selection(pool))
    rows = table.rows
    assert table.header == ["", "this selection", "random, expected"]
    assert [row[:2] for row in rows[:3]] == [
        ["prompts with selected responses, of 4", "4"],
        ["distinct responses, of 32", "28"],
        ["selected responses", "8"],
    ]
    objective = f"{mean(inspect_selection(pool).selected, 'objective'):.3f}"
    assert rows[5][:2] == ["objective: representativeness − redundancy", objective]
    assert {len(row) for row in rows} == {3}


def test_without_embeddings_only_counts_are_said(pool):
    bare = replace(pool, embeddings=None)
    assert inspect_selection(bare) is None
    assert len(table_of_selection(bare, None).rows) == 3
    page = html_of(bare, "random")
    assert "Without embeddings" in page
    assert "<b>selected 1</b>" in page
    assert "<svg" not in page


@pytest.mark.slow
def test_page_shows_texts_of_others_as_text(pool):
    page = html_of(pool, f"aepo: {EVIL}")
    assert "<script" not in page
    assert (
        page.count("&lt;script&gt;") == 4 * (1 + 7) + 3
    )  # prompts, responses, title twice, what was read
    assert "://" not in page
    assert page.count("<b>selected 2</b>") == 4


def test_both_reports_have_the_section(pool):
    metrics = pl.DataFrame(
        [(0, "labels", 8.0, None, None, 8)], schema=TABLES["metrics"].columns, orient="row"
    )
    text = render_markdown(round_page(metrics, "aepo", pool))
    assert "### What was selected\n\n|  | this selection |" in text
    assert len(text.encode()) < 90_000
    assert "<script" not in text
    page = render_html(run_page(metrics, empty("preferences"), "", "aepo", pool))
    assert "<h2>What was selected</h2>" in page
    without = render_html(run_page(metrics, empty("preferences"), "", "aepo"))
    assert "What was selected" not in without


def odd_cases():
    many = [f"text {n}" for n in range(40)]
    return {
        "one prompt": ([(many[:5], many[:2])], anywhere),
        "k = N": ([(many[:3], many[:3])] * 2, anywhere),
        "two responses": ([(["e", "w"], ["e", "w"])], direction),
        "all point one way": ([(["e1", "e2", "e3"], ["e1", "e2"])], direction),
        "sampled often": ([(["e"] * 30 + ["n", "w"], ["e", "n"])], direction),
        "large k": ([(many, many[:20])], anywhere),
        "fewer than k": ([(many[:6], many[:4]), (many[:2], many[:2])], anywhere),
        "one response": ([(many[:6], many[:2]), (many[:1], [])], anywhere),
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", odd_cases())
@pytest.mark.filterwarnings("error")
def test_odd_selections_have_a_page(case):
    tables = chosen(*odd_cases()[case])
    page = html_of(tables, case)
    assert "<svg" in page
    assert ">nan" not in page


def test_nothing_selected_is_said():
    tables = chosen([(["e"], [])], direction)
    assert "prompts with selected responses, of 1</td><td>0" in html_of(tables, "aepo")


@pytest.mark.slow
def test_same_tables_in_another_order_give_the_same_picture(pool):
    def picture(tables):
        drawn = responses_of(tables, ["p000", "p001"])
        return [*plot_responses(drawn), *plot_by_k(inspect_selection(tables))]

    shuffled = replace(
        pool,
        candidates=pool.candidates.reverse(),
        embeddings=pool.embeddings.reverse(),
        selections=pool.selections.reverse(),
    )
    assert picture(pool) == picture(pool) == picture(shuffled)


def test_projection_leaves_no_sign_to_chance():
    vectors = np.random.default_rng(0).normal(size=(6, 4))
    points, shares = plane(vectors)
    assert np.allclose(plane(-vectors)[0] ** 2, points**2)
    assert (points[np.abs(points).argmax(axis=0), [0, 1]] > 0).all()
    centred = vectors - vectors.mean(axis=0)
    assert shares[0] == pytest.approx(
        np.linalg.eigvalsh(centred.T @ centred)[-1] / (centred**2).sum()
    )


def test_measuring_is_bounded_and_says_so():
    tables = chosen([(["e", "n", "w"], ["e", "n"])] * (MOST_PROMPTS + 9), direction)
    inspection = inspect_selection(tables)
    assert (len(inspection.selected), inspection.prompts) == (MOST_PROMPTS, MOST_PROMPTS + 9)
    assert f"{MOST_PROMPTS}, drawn by their ids, of {MOST_PROMPTS + 9}" in caption(inspection)


@pytest.mark.slow
def test_the_verdict_says_how_far_from_chance_the_selection_is():
    texts = [f"text {n}" for n in range(6)]
    every = responses_of(chosen([(texts, texts[:2])], anywhere), ["p000"])[0]
    pairs = np.array(list(combinations(range(6), 2)))
    best, worst = (
        pairs[order(objective(every.similarity, pairs, 1.0))] for order in (np.argmax, np.argmin)
    )
    for pair, said in ((best, "beats that of a random choice by +"), (worst, "is below that")):
        for count, shown in ((24, said), (3, "on only 3 prompts")):
            tables = chosen([(texts, [texts[at] for at in pair])] * count, anywhere)
            page = render_markdown(selection_page(tables, "aepo", "pool.csv"))
            assert (
                f"**{2 * count} of {6 * count} responses to {count} prompts are selected;" in page
            )
            assert shown in page


@pytest.mark.slow
def test_page_needs_the_embeddings_of_the_shown_prompts_only():
    texts = [f"{EVIL} {n}" for n in range(4)]
    tables = chosen([(texts, texts[1:3])] * (MOST_PROMPTS + 20), anywhere)
    shown = shown_prompts(tables.selections)
    prompt_of = pl.col("candidate_id").str.split("/").list.first()
    fewer = replace(tables, embeddings=tables.embeddings.filter(prompt_of.is_in(shown)))
    assert fewer.embeddings.height < tables.embeddings.height
    assert html_of(fewer, "of some") == html_of(tables, "of some")
