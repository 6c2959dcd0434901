"""A run ends, and goes back, only on what a round's interval or score says."""

import polars as pl
import pytest

from prefopt_core.evaluation.stopping import best_round, should_stop
from prefopt_core.ground.tables import TABLES


def metrics(*rows):
    """(round, metric, value, low, high)s as a table."""
    rows = [(*row, 50) for row in rows]
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


@pytest.mark.parametrize(
    ("low", "high", "stops"),
    [
        (0.30, 0.49, {"worse", "not_better"}),
        (0.30, 0.50, {"not_better"}),
        (0.45, 0.60, {"not_better"}),
        (0.50, 0.60, {"not_better"}),
        (0.51, 0.60, set()),
    ],
    ids=lambda value: "-".join(sorted(value)) or "none" if isinstance(value, set) else str(value),
)
def test_a_round_is_judged_by_its_interval(low, high, stops):
    figures = metrics(
        (2, "win_rate", 0.2, 0.1, 0.3), (2, "win_rate_over_previous", (low + high) / 2, low, high)
    )
    for rule in ("never", "worse", "not_better"):
        assert should_stop(figures, rule) == (rule in stops)


@pytest.mark.parametrize("rule", ["never", "worse", "not_better"])
def test_without_a_round_before_nothing_is_settled(rule):
    assert not should_stop(metrics((0, "gold_score", 1.0, 0.5, 1.5)), rule)


def test_the_best_round_has_the_highest_score_and_is_the_earliest_of_equals():
    def of(*scores):
        rows = [(number, "gold_score", score, None, None) for number, score in enumerate(scores)]
        others = [(number, "win_rate", number / 9, None, None) for number in range(len(scores))]
        return metrics(*others, *rows[::-1])

    assert best_round(of(0.5, 2.0, 1.0)) == 1
    assert best_round(of(0.5, -2.0, 1.0)) == 2
    assert best_round(of(3.0, 2.0, 3.0)) == 0
    assert best_round(of(0.0, 2.0, 2.0)) == 1


def test_where_responses_were_compared_the_best_round_wins_most_and_more_than_half():
    def of(*rates):
        return metrics(*((n, "win_rate", rate, None, None) for n, rate in enumerate(rates, 1)))

    assert best_round(of(0.4, 0.7, 0.6)) == 2
    assert best_round(of(0.4, 0.3)) == 0
