"""Every sentence of the grammar is one the oracle can read, whatever its facts are."""

from collections import Counter
from dataclasses import replace
from itertools import product
from math import sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.worlds.helpdesk.grammar import (
    BY_ISSUE,
    COMPLAINTS,
    ITEMS,
    OPENINGS,
    PERSONAS,
    QUESTIONS,
    SIGNATURES,
    Facts,
    draw_facts,
    draw_persona,
    sentences,
    write_prompt,
    write_response,
)
from prefopt_core.worlds.helpdesk.oracle import BEST, Said, read_prompt, read_response, score

FACTS = Facts(name="Ann", item="desk", issue="refund", amount="42", colour="red")
WRONG = {"name": "Ben", "item": "lamp", "issue": "broken", "amount": "15"}
SENTENCES = list(sentences())


def perfect(facts):
    """The best response to these facts."""
    templates = (
        "Dear {name},",
        *(BY_ISSUE[kind][facts.issue][0] for kind in ("apology", "fix")),
        "Have a nice day!",
    )
    return " ".join(templates).format(**vars(facts))


def test_no_wording_of_a_prompt_hides_its_facts():
    # Among them "Dear help desk, … the desk": the item must be read from the complaint.
    for issue, item in product(COMPLAINTS, ITEMS):
        for parts in product(OPENINGS, COMPLAINTS[issue], QUESTIONS, SIGNATURES):
            text = " ".join(filter(None, parts)).format(**vars(replace(FACTS, item=item)))
            amount = FACTS.amount if issue == "refund" else None
            assert read_prompt(text) == Facts("Ann", item, issue, amount)


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.template)
def test_every_sentence_is_read_as_itself(sentence):
    blank = next((v for k, v in vars(FACTS).items() if f"{{{k}}}" in sentence.template), None)
    text = sentence.template.format(**vars(FACTS))
    assert read_response(text) == ([Said(sentence, blank)], 1.0)
    assert read_response(f"Well then {text} and so on")[0] == [Said(sentence, blank)]


@given(st.integers(0, 2**32), st.sampled_from(list(PERSONAS)))
def test_what_a_persona_writes_is_finished_and_reads_the_same_with_other_spaces(seed, persona):
    rng = Random(seed)
    facts = draw_facts(rng)
    prompt, response = write_prompt(facts, rng), write_response(facts, rng, persona)
    assert response[-1] in ".!?"
    assert score(prompt, f"\n {response} ") == score(prompt, response) <= BEST


@pytest.mark.parametrize("fact", WRONG)
def test_one_wrong_fact_of_a_perfect_response_costs(fact):
    prompt = write_prompt(FACTS, Random(0))
    assert score(prompt, perfect(FACTS)) == BEST
    assert score(prompt, perfect(replace(FACTS, **{fact: WRONG[fact]}))) <= BEST - 1


@given(st.lists(st.sampled_from(SENTENCES), max_size=4))
def test_nothing_improves_a_perfect_response(more):
    prompt = write_prompt(FACTS, Random(0))
    added = " ".join(sentence.template.format(**vars(FACTS)) for sentence in more)
    assert score(prompt, f"{perfect(FACTS)} {added}") <= BEST


@given(st.data())
def test_a_perfect_response_cut_short_is_worse_than_the_whole(data):
    whole = perfect(FACTS)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert score(write_prompt(FACTS, Random(0)), whole[:cut]) < BEST


@given(st.integers(0, 2**32))
def test_the_same_generator_writes_the_same_dialogue(seed):
    def dialogue():
        rng = Random(seed)
        facts = draw_facts(rng)
        return write_prompt(facts, rng), write_response(facts, rng)

    assert dialogue() == dialogue()


@pytest.mark.parametrize("stars", [0.0, 0.3, 1.0])
def test_a_share_of_stars_leaves_the_others_their_shares_of_the_rest(stars):
    rng = Random(5)
    drawn = Counter(draw_persona(rng, stars) for _ in range(20_000))
    others = 1 - PERSONAS["star"].share
    for name, persona in PERSONAS.items():
        share = stars if name == "star" else (1 - stars) * persona.share / others
        assert drawn[name] / 20_000 == pytest.approx(share, abs=4 * sqrt(0.25 / 20_000))
    assert stars or not drawn["star"]


def test_by_default_personas_are_drawn_by_the_shares_that_they_have():
    rng, other = Random(3), Random(3)
    shares = [persona.share for persona in PERSONAS.values()]
    expected = [other.choices(list(PERSONAS), shares)[0] for _ in range(2000)]
    assert [draw_persona(rng) for _ in range(2000)] == expected
