"""Money of an account: a budget of its own, held before a request and never exceeded."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.ground.spending import paying_from, reserving
from prefopt_core.labels.account import Allowance, Balance, opened
from prefopt_core.labels.store import LabelStore
from tests.core.labels.accounts import balance, buy


@pytest.fixture
def kept(tmp_path):
    return LabelStore(tmp_path / "store")


def test_labels_cost_their_price_and_money_is_a_budget_of_its_own(kept):
    rich = Allowance("team", 100, 1.75)
    buy(kept, "p", 2, rich, price=0.5)
    message = r"1 may be spent next, and 0\.75 of 1\.75 is left: 1 is spent, 0 under way.*max_cost"
    with pytest.raises(OverBudgetError, match=message):
        buy(kept, "q", 0, rich, price=0.5, hold=2)
    buy(kept, "q", 1, rich, price=0.5)
    assert balance(kept) == Balance(3, 1.5, 0, 0.0)


def test_a_budget_that_prices_fill_exactly_is_enough(kept):
    buy(kept, "p", 10, Allowance("team", 10, 1.0), price=0.1)  # ten times 0.1 is not 1.0 in binary
    with pytest.raises(OverBudgetError):
        buy(kept, "q", 1, Allowance("team", 11, 1.0), price=0.1)


def test_a_request_costs_what_it_cost_and_what_else_was_held_is_free(kept):
    allowance = Allowance("team", 0, 2.0)
    with opened(kept, allowance) as account, paying_from(account):
        with reserving(1.5) as paid:
            assert balance(kept) == Balance(0, 0.0, 0, 1.5)
            message = r"1 may be spent next, and 0\.5 of 2 is left"
            with pytest.raises(OverBudgetError, match=message), reserving(1.0):
                pytest.fail("nothing may be asked")
            paid(0.25)
            paid(0.5)  # it was tried twice
        assert balance(kept) == Balance(0, 0.75, 0, 0.0)
        with suppress(ConnectionError), reserving(1.25) as paid:
            paid(0.125)
            raise ConnectionError
        with reserving(1.0):
            pass  # it never got an answer, for free
        assert balance(kept) == Balance(0, 0.875, 0, 0.0)


def test_without_a_budget_nothing_is_held(kept):
    with reserving(1e9) as paid:
        paid(1e9)
    assert not kept.root.exists()


def test_requests_of_many_threads_never_hold_more_than_there_is(kept):
    allowance, most, refused = Allowance("team", 0, 1.0), [], []
    together = threading.Barrier(8)

    def request(account):
        together.wait()
        for _ in range(4):
            try:
                with account.reserving(0.25) as paid:
                    most.append(account.balance())
                    paid(0.0625)
            except OverBudgetError:
                refused.append(1)

    with opened(kept, allowance) as account, ThreadPoolExecutor(8) as pool:
        list(pool.map(request, [account] * 8))
    assert all(own.cost + own.held_cost <= 1.0 for own in most)
    assert balance(kept) == Balance(0, 0.0625 * len(most), 0, 0.0)
    assert len(most) + len(refused) == 32


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6), st.integers(0, 12))
def test_whatever_is_wanted_the_budget_holds(tmp_path_factory, wants, budget):
    kept, spent = LabelStore(tmp_path_factory.mktemp("labels")), 0
    allowance = Allowance("team", budget, 2.0 * budget)
    for number, (held, bought) in enumerate(wants):
        try:
            buy(kept, f"p{number}", min(held, bought), allowance, price=2.0, hold=held)
        except OverBudgetError:
            assert held > budget - spent
        else:
            spent += min(held, bought)
        assert balance(kept) == Balance(spent, 2.0 * spent, 0, 0.0)
    assert spent <= budget
