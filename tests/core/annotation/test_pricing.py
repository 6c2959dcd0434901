"""What labels will take: said before they are bought, with whether the budget pays for them."""

import pytest

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.pricing import Sample, expected, left_of, too_little
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.labels.account import Allowance, spend
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store.ledger import transaction
from tests.verdicts import about

NOTHING = Sample((), "its prompts are not loaded yet")
PRICED = AnnotationConfig(annotator="people", price=0.5)


@pytest.fixture
def kept(tmp_path):
    return LabelStore(tmp_path / "labels.sqlite")


def test_labels_take_their_price(kept):
    money, time, skips = expected(6, PRICED, kept, NOTHING)
    assert money == "3.00 in money, 0.5 each"
    assert time == "people's time is not known before their first label"
    assert skips == "a question that is skipped counts, too"
    function = AnnotationConfig(annotator="function", params={"function": "builtins:len"})
    assert list(expected(6, function, kept, NOTHING)) == []


def test_the_time_of_people_is_that_of_others_until_they_have_given_a_label(kept):
    for person, seconds in (("Mary", 30.0), ("John", 50.0), ("Ann", 900.0)):
        with buying(kept, AnnotatorIdentity("others", "1")) as purchase:
            purchase.commit(about("p", "a", "b"), Verdict("tie", by=person, seconds=seconds))
    _, time, _ = expected(144, PRICED, kept, NOTHING)
    assert time == (
        "2.0 hours of people's time, 50 s each (by 3 labels of other people or guidelines)"
    )
    with buying(kept, identity(PRICED)) as purchase:
        purchase.commit(about("p", "a", "b"), Verdict("tie", by="Eve", seconds=25.0))
    _, time, _ = expected(144, PRICED, kept, NOTHING)
    assert time == "1.0 hours of people's time, 25 s each (by the 1 so far)"


def judge(**params):
    params = {"base_url": "http://127.0.0.1:1/v1", "model_name": "j"} | params
    return AnnotationConfig(annotator="llm-judge", params=params)


def test_a_judge_is_priced_by_what_it_will_be_sent_before_its_first_label(kept):
    texts = Sample([about("p", "a" * 4000, "b" * 4000)] * 2, "the responses in the store")
    prices = {"price_prompt": 2.0, "price_completion": 8.0, "max_new_tokens": 100}
    requests, tokens, money = expected(50, judge(**prices), kept, texts)
    assert requests == "100 requests, again where one has no verdict"
    read = float(tokens.split("≈ ")[1].split(" M")[0]) * 1e6
    assert 200_000 < read < 250_000  # twice 4000 bytes, and the template
    assert tokens.endswith("(by the responses in the store, 4 bytes each), ≤ 10,000 written")
    assert float(money.split()[1]) == pytest.approx((read * 2 + 10_000 * 8) / 1e6, rel=0.1)
    assert money.endswith(" in money, if all answers are as long as `max_new_tokens` allows")
    once, *_ = expected(50, judge(**prices, orders="one", attempts=1), kept, texts)
    assert once == "50 requests"
    *_, unpriced = expected(50, judge(), kept, texts)
    assert unpriced == "no price is known, so none is counted"
    (doubt,) = too_little(50, judge(**prices), Allowance("run", 50, 0.3), kept, texts)
    assert doubt.startswith("The money that is left pays for about 2")


def test_what_nobody_knows_is_said_to_be_unknown(kept):
    (said,) = expected(50, judge(price_prompt=1.0), kept, NOTHING)
    assert said == "tokens and their cost are not known: its prompts are not loaded yet"
    assert (
        list(too_little(50, judge(price_prompt=1.0), Allowance("r", 50, 0.1), kept, NOTHING)) == []
    )


def test_a_budget_that_pays_for_all_raises_no_doubt(kept):
    assert list(too_little(6, PRICED, Allowance("run", 6, 3.0), kept, NOTHING)) == []
    free = AnnotationConfig(annotator="people")
    assert list(too_little(6, free, Allowance("run", 6, 0.0), kept, NOTHING)) == []


def test_what_the_budget_does_not_pay_for_is_said_in_labels_and_in_money(kept):
    labels, money = too_little(7, PRICED, Allowance("run", 6, 2.6), kept, NOTHING)
    assert labels.startswith("Up to 7 labels are to be bought, and 6 are left:")
    assert money.startswith("The money that is left pays for about 5 of 7 labels.")


def test_a_budget_that_was_lowered_below_what_is_bought_has_nothing_left(kept):
    with kept.connected() as connection, transaction(connection):
        spend(connection, "run", 6, 0.0)
    assert left_of(Allowance("run", 4), kept) == (
        "left of the budget: 0 of 4 labels (6 bought; what was found in the store costs nothing)"
    )
    assert list(too_little(0, PRICED, Allowance("run", 4), kept, NOTHING)) == []
