"""The oracle and the grammar agree, and nothing cheap gives the preference away."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.ground.errors import ConfigError
from prefopt_core.worlds.helpdesk.grammar import ISSUES, draw_facts, write_prompt, write_response
from prefopt_core.worlds.helpdesk.oracle import (
    BEST,
    BLANK,
    impression,
    read_prompt,
    read_response,
    score,
)
from prefopt_core.worlds.helpdesk.prompts import prompts

FACTUAL = ("greeting", "apology", "fix")
PROMPT = "Hi, my red lamp arrived broken. What now? Yours, Ann"


def dialogues(count, persona=None):
    rng = Random(7)
    for _ in range(count):
        facts = draw_facts(rng)
        yield facts, write_prompt(facts, rng), write_response(facts, rng, persona)


def test_the_oracle_reads_every_fact_that_a_prompt_states():
    for facts, prompt, _ in dialogues(500):
        read = read_prompt(prompt)
        assert (read.name, read.item, read.issue) == (facts.name, facts.item, facts.issue)
        assert read.amount in (None, facts.amount)
    assert {facts.issue for facts, _, _ in dialogues(500)} == set(ISSUES)


def test_the_oracle_reads_every_sentence_that_a_persona_writes():
    assert all(read_response(response)[1] == 1.0 for _, _, response in dialogues(500))


def test_good_habits_score_high_and_bad_ones_low():
    mean = {
        persona: sum(score(prompt, text) for _, prompt, text in dialogues(300, persona)) / 300
        for persona in ("star", "terse", "sloppy", "wordy", "rude")
    }
    assert mean["star"] > 3.5 > mean["terse"] > mean["wordy"] > mean["rude"]
    assert mean["star"] > mean["sloppy"] > mean["rude"]


def test_the_best_response_scores_the_maximum():
    best = (
        "Hello Ann, I am sorry that your lamp came broken. A new one leaves our store today. "
        "Have a nice day!"
    )
    assert score(PROMPT, best) == BEST


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (
            "Hello Ben, A new one leaves our store today.",
            "Hello Ann, A new one leaves our store today.",
        ),
        ("Your parcel is on the truck and arrives tomorrow.", "A new one leaves our store today."),
        ("A new one leaves our store", "A new one leaves our store today."),
        ("A new one leaves our store today. Please wait.", "A new one leaves our store today."),
        (
            "A new one leaves our store today. Stop bothering us.",
            "A new one leaves our store today.",
        ),
        ("zzz qqq", "Please wait."),
        ("", "That is not our problem."),
    ],
    ids=["name", "issue", "unfinished", "vague", "rude", "unreadable", "blank"],
)
def test_a_fault_costs(worse, better):
    assert score(PROMPT, worse) < score(PROMPT, better)


@given(st.text(), st.text())
def test_any_two_texts_have_a_finite_score(prompt, response):
    value = score(prompt, response)
    assert math.isfinite(value)
    assert value <= BEST
    assert response.strip() or value == BLANK


def test_the_longer_response_is_the_better_one_about_as_often_as_not():
    rows = [
        (len(a) - len(b), score(prompt, a) - score(prompt, b))
        for (facts, prompt, a), rng in ((d, Random(i)) for i, d in enumerate(dialogues(3000)))
        for b in [write_response(facts, rng)]
    ]
    decided = [(length > 0) == (margin > 0) for length, margin in rows if length and margin]
    assert 0.4 < sum(decided) / len(decided) < 0.6


def test_more_prompts_begin_with_the_fewer_and_none_repeats():
    many = prompts(2000, seed=3)
    assert many[:500] == prompts(500, seed=3)
    assert len(set(many)) == 2000
    assert many != prompts(2000, seed=4)


def test_more_prompts_than_the_grammar_has_are_refused():
    with pytest.raises(ConfigError, match="2000000 help desk prompts"):
        prompts(2_000_000, seed=0)


def test_an_impression_is_the_score_where_all_facts_are_right_and_above_it_where_not():
    wrong = 0
    for persona in ("star", "terse", "sloppy", "wordy", "rude"):
        for facts, prompt, text in dialogues(200, persona):
            seen, worth = impression(prompt, text), score(prompt, text)
            said = [s for s in read_response(text)[0] if s.sentence.kind in FACTUAL]
            right = all(
                s.blank in (None, facts.name, facts.item, facts.amount)
                and s.sentence.issue in (None, facts.issue)
                for s in said
            )
            assert (seen == worth) if right else (seen > worth)
            wrong += not right
    assert wrong > 50


@given(st.text(), st.text())
def test_an_impression_never_counts_facts_against_a_response(prompt, response):
    assert score(prompt, response) <= impression(prompt, response) <= BEST
    assert impression(prompt, response) == impression("", response)


def test_an_impression_prefers_the_right_form_to_the_right_facts():
    wrong = "Hello Ben, I am sorry that your desk came broken. A new one leaves our store today."
    right = "A new one leaves our store today."
    assert score(PROMPT, wrong) < score(PROMPT, right)
    assert impression(PROMPT, wrong) > impression(PROMPT, right)
