"""What labels will take: said before they are bought, with whether the budget pays for them."""

import pytest

from prefopt_core.annotation.pricing import expected, left_of, too_little
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.labels.account import Allowance, spend
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.ledger import transaction

PRICED = AnnotationConfig(annotator="people", price=0.5)


@pytest.fixture
def kept(tmp_path):
    return LabelStore(tmp_path / "labels.sqlite")


def test_labels_take_their_price(kept):
    assert expected(6, PRICED, kept) == ["3.00 in money, 0.5 each"]


def test_a_budget_that_pays_for_all_raises_no_doubt(kept):
    assert list(too_little(6, PRICED, Allowance("run", 6, 3.0), kept)) == []
    free = AnnotationConfig(annotator="people")
    assert list(too_little(6, free, Allowance("run", 6, 0.0), kept)) == []


def test_what_the_budget_does_not_pay_for_is_said_in_labels_and_in_money(kept):
    labels, money = too_little(7, PRICED, Allowance("run", 6, 2.6), kept)
    assert labels.startswith("Up to 7 labels are to be bought, and 6 are left:")
    assert money.startswith("The money that is left pays for about 5 of 7 labels.")


def test_a_budget_that_was_lowered_below_what_is_bought_has_nothing_left(kept):
    with kept.connected() as connection, transaction(connection):
        spend(connection, "run", 6, 0.0)
    assert left_of(Allowance("run", 4), kept) == (
        "left of the budget: 0 of 4 labels (6 bought; what was found in the store costs nothing)"
    )
    assert list(too_little(0, PRICED, Allowance("run", 4), kept)) == []
