"""The rule of a pilot, and how many pairs it asks for."""

from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.reports.worth import answer, pairs_until


@given(st.integers(1, 99), st.integers(1, 99))
def test_so_many_pairs_as_are_wanted_decide_and_clearly_fewer_do_not(right, threshold):
    p, t = right / 100, threshold / 100
    n = pairs_until(p, t)
    if n is None:
        assert p == t
        return

    def decided(count):
        z = 1.959964
        middle, half = p + z * z / (2 * count), z * sqrt(p * (1 - p) / count + (z / 2 / count) ** 2)
        low, high = ((middle + side * half) / (1 + z * z / count) for side in (-1, 1))
        return answer(p, low, high, t) != "unsure"

    assert decided(n * 1.001)
    assert not decided(n * 0.999)


def test_the_rule_needs_the_whole_interval_on_one_side():
    assert answer(0.8, 0.76, 0.84, 0.75) == "try"
    assert answer(0.8, 0.75, 0.85, 0.75) == "unsure"
    assert answer(0.7, 0.65, 0.75, 0.75) == "unsure"
    assert answer(0.7, 0.65, 0.74, 0.75) == "spend"
