"""What is asked: every pair, one order or both, balanced, and the same in every run."""

from collections import Counter
from itertools import combinations
from math import comb

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.annotation.asking import Ask, Asking
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.labels.questions import Verdict, compared
from prefopt_core.labels.store import Label

forms = st.sampled_from(["score", "compare", "rank"])
askings = st.builds(
    Asking, forms, st.sampled_from(["one", "both"]), st.integers(1, 4), st.floats(0, 1)
)
pools = st.dictionaries(
    st.text("pqrst", min_size=1, max_size=4),
    st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=2, max_size=5, unique=True),
    max_size=5,
)


def selections(pool):
    rows = [(prompt, f"{prompt} {one}") for prompt, own in pool.items() for one in own]
    schema = {"prompt_id": pl.String, "candidate_id": pl.String}
    return pl.DataFrame(rows, schema, orient="row")


def numbered(prompts, responses=2):
    return selections({f"p{p}": [f"r{r}" for r in range(responses)] for p in range(prompts)})


@given(pools, askings)
def test_every_response_pair_or_set_is_asked_about_once(pool, asking):
    asks = list(asking.asks(selections(pool)))
    assert len({ask.compared for ask in asks}) == len(asks)
    for prompt, own in pool.items():
        ids = sorted(f"{prompt} {one}" for one in own)
        size = {"score": 1, "compare": 2, "rank": len(ids)}[asking.ask]
        expected = {(prompt, some) for some in combinations(ids, size)}
        assert {ask.compared for ask in asks if ask.prompt_id == prompt} == expected
        assert asking.labels(len(own)) == len(expected)
        labels = sum(ask.people for ask in asks if ask.prompt_id == prompt)
        assert asking.labels_of(prompt, len(own)) == labels


@given(pools, askings)
def test_each_order_is_of_the_same_responses_and_two_orders_are_opposite(pool, asking):
    for ask in asking.asks(selections(pool)):
        size = len(ask.orders[0])
        assert len(ask.orders) == (2 if asking.orders == "both" and size == 2 else 1)
        assert {tuple(sorted(order)) for order in ask.orders} == {ask.compared[1]}
        assert ask.orders[-1] in (ask.orders[0], ask.orders[0][::-1])


@given(pools, askings, st.randoms())
def test_an_order_does_not_depend_on_other_prompts_or_on_the_selection(pool, asking, random):
    def orders(pool):
        return {ask.compared: ask.orders for ask in asking.asks(selections(pool))}

    together = orders(pool)
    shuffled = {prompt: random.sample(own, len(own)) for prompt, own in pool.items()}
    assert orders(dict(reversed(shuffled.items()))) == together
    for prompt, own in pool.items():
        alone = orders({prompt: own})
        assert alone.items() <= together.items()


@pytest.mark.parametrize("form", ["compare", "rank"])
@pytest.mark.parametrize("responses", [2, 3])
def test_either_comes_first_about_as_often(form, responses):
    asks = list(Asking(form).asks(numbered(2000, responses)))
    places = Counter(
        (one.partition("r")[2], place) for ask in asks for place, one in enumerate(ask.orders[0])
    )
    shown = len(asks[0].orders[0])
    n = len(asks) * shown / responses  # how often each response is shown
    error = 4 * (n * (1 - 1 / shown) / shown) ** 0.5
    for place in range(shown):
        for r in range(responses):
            assert places[str(r), place] == pytest.approx(n / shown, abs=error)


def test_both_orders_are_one_label_of_two_questions():
    (ask,) = Asking("compare", "both").asks(numbered(1))
    first, second = ask.orders
    by_one, by_other = (Label("p0", order, Verdict.preferred(0.9)) for order in ask.orders)
    assert ask.labels_missing({}) == 1
    assert ask.orders_missing({}) == [first, second]
    half = {ask.compared: [by_one]}
    assert ask.labels_missing(half) == 0  # it is paid for, and the other order is still asked
    assert ask.orders_missing(half) == [second]
    whole = {ask.compared: [by_one, by_other]}
    assert (ask.orders_missing(whole), ask.answers(whole)) == ([], [by_one, by_other])


def test_where_one_order_is_asked_an_answer_to_the_opposite_one_will_do():
    (ask,) = Asking("compare").asks(numbered(1))
    opposite = {ask.compared: [Label("p0", ask.orders[0][::-1], Verdict("tie"))]}
    assert (ask.labels_missing(opposite), ask.orders_missing(opposite)) == (0, [])
    assert ask.orders_missing({}) == list(ask.orders)


def test_labels_of_several_people_are_missing_until_so_many_have_answered():
    ask = Ask("p", (("a", "b"),), people=3)

    def missing(*names):
        own = [Label("p", ("a", "b"), Verdict("tie", by=by)) for by in names]
        known = {compared("p", "ab"): own}
        return ask.labels_missing(known), len(ask.orders_missing(known))

    assert [missing(), missing("Mary"), missing("Mary", "John")] == [(3, 1), (2, 1), (1, 1)]
    assert missing("Mary", "Mary") == (2, 1)  # one person counts once
    assert missing("Mary", "John", "Ann") == missing("Mary", "John", "Ann", "Sue") == (0, 0)


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_so_large_a_share_of_prompts_is_for_several_people(share):
    asks = list(Asking("compare", people=3, overlap=share).asks(numbered(3000)))
    found = Counter(ask.people for ask in asks)
    error = 4 * (3000 * share * (1 - share)) ** 0.5
    assert found[3] == pytest.approx(3000 * share, abs=error)
    assert found[1] == 3000 - found[3]


def test_all_that_is_asked_about_a_prompt_is_in_the_overlap_or_nothing():
    asks = list(Asking("compare", people=2, overlap=0.5).asks(numbered(40, 4)))
    of_prompts = {ask.prompt_id: set() for ask in asks}
    for ask in asks:
        of_prompts[ask.prompt_id].add(ask.people)
    assert all(len(own) == 1 for own in of_prompts.values())
    assert {people for own in of_prompts.values() for people in own} == {1, 2}


def test_a_larger_share_keeps_the_prompts_of_a_smaller_one():
    def overlap(share):
        asks = Asking("compare", people=2, overlap=share).asks(numbered(200))
        return {ask.prompt_id for ask in asks if ask.people > 1}

    assert overlap(0.1) < overlap(0.3) < overlap(1.0)


def test_without_people_to_compare_an_overlap_is_none():
    assert {ask.people for ask in Asking("compare", overlap=1.0).asks(numbered(9))} == {1}


@pytest.mark.parametrize(
    ("form", "k", "labels"), [("score", 4, 4), ("compare", 4, comb(4, 2)), ("rank", 4, 1)]
)
def test_labels_of_a_prompt_are_counted_by_what_is_asked(form, k, labels):
    assert Asking(form).labels(k) == labels


def test_what_is_asked_follows_from_the_settings_of_the_annotator():
    def asking(annotator, **params):
        return AnnotationConfig(annotator=annotator, params=params).asking

    assert asking("function", function="helpdesk") == Asking()
    assert asking("simulated", function="helpdesk", ask="rank") == Asking("rank")
    people = asking("people", people=3, overlap=0.25)
    assert people == Asking("compare", "one", people=3, overlap=0.25)
