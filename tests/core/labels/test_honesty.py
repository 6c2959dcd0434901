"""Planted habits of judges and people are found and said in words; fair ones are not."""

import numpy as np
import pytest

from prefopt_core.ground.tables import check_table
from prefopt_core.labels.agreement import pairs_rated
from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.honesty import doubts, honesty, metrics_of
from tests.core.labels.said import candidates, verdicts

N = 40
SHORT, LONG = "short", "a good deal longer"


def texts(a=LONG, b=SHORT):
    return candidates(
        {f"p{n}{side}": text for n in range(N) for side, text in (("a", a), ("b", b))}
    )


def of(rows, responses=None):
    """The figures of the only rater, and what is doubtful about it."""
    table = verdicts(*rows)
    (own,) = honesty(table, texts() if responses is None else responses)
    return own, doubts([own], pairs_rated(comparisons(table)))


def in_both_orders(judge):
    """Verdicts of a judge, a function of (prompt, order shown) to a preference."""
    return [(f"p{n}", shown, "llm", judge(n, shown)) for n in range(N) for shown in ("ab", "ba")]


def test_a_judge_who_always_takes_the_first_flips_every_pair():
    own, said = of(in_both_orders(lambda n, shown: 1.0))
    assert (own.flips.value, own.flips.n, own.first.value, own.first.n) == (1, N, 1, 2 * N)
    assert any("order is turned: llm 100 % [91, 100]" in text for text in said)
    assert not any("shown first" in text for text in said)  # both orders are: flips tell it
    assert own.longer.n == 0  # contradicting orders prefer nothing


def test_a_judge_who_knows_what_is_better_does_not_flip():
    own, said = of(in_both_orders(lambda n, shown: float((shown == "ab") == (n % 2 == 0))))
    assert (own.flips.value, own.first.value, own.longer.value) == (0, 0.5, 0.5)
    assert said == []


def test_a_tie_in_one_order_is_no_flip():
    own, _ = of(in_both_orders(lambda n, shown: 1.0 if shown == "ab" else "tie"))
    assert own.flips.n == 0
    assert own.states["tie"].value == 0.5


def test_whoever_prefers_the_longer_response_is_told():
    rows = in_both_orders(lambda n, shown: float((shown == "ab") == (n % 8 != 0)))
    own, said = of(rows)
    assert own.longer.value == own.clearly_longer.value == pytest.approx(7 / 8)
    assert own.longer.n == N  # both orders of a pair are one preference
    (text,) = said
    assert "the longer is preferred: llm 88 % [" in text
    assert "`training.loss: simpo`" in text


def test_a_gap_that_is_not_clear_counts_as_longer_alone():
    own, said = of(
        in_both_orders(lambda n, shown: float(shown == "ab")), texts("12345678", "1234567")
    )
    assert (own.longer.value, own.clearly_longer.n, said) == (1, 0, [])


def test_an_empty_response_is_clearly_shorter_and_equal_lengths_say_nothing():
    rows = in_both_orders(lambda n, shown: float(shown == "ab"))
    assert of(rows, texts("x", ""))[0].clearly_longer.value == 1
    assert of(rows, texts("x", "y"))[0].longer.n == 0
    assert of(rows, texts("", ""))[0].longer.n == 0


def test_who_scores_responses_has_a_preference_for_length_and_none_for_a_side():
    alone = [(f"p{n}", side, "rm", [float(side == "a")]) for n in range(N) for side in "ab"]
    asked = [(f"p{n}", "ab", "rm", [1, 0]) for n in range(N)]
    for rows in (alone, asked):
        own, _ = of(rows)
        assert own.longer.value == 1
        assert own.first.n == own.flips.n == 0


def test_states_are_shares_of_all_verdicts_and_invalid_ones_are_told():
    states = ["invalid"] * 12 + ["skipped"] * 2 + ["both_bad"] * 2
    rows = [(f"p{n}", "ab", "llm", states[n] if n < 16 else float(n % 2)) for n in range(N)]
    own, said = of(rows)
    assert own.verdicts == N
    assert [own.states[s].value for s in ("given", "tie", "both_bad", "skipped", "invalid")] == [
        0.6,
        0,
        0.05,
        0.05,
        0.3,
    ]
    (text,) = said
    assert "Answers are no verdicts: llm 30 % [" in text
    assert "`why`" in text


def test_an_annotator_who_seldom_decides_is_told():
    rows = [(f"p{n}", "ab", "ann", "tie" if n % 10 else 1.0) for n in range(N)]
    assert ["make no pair" in text for text in of(rows)[1]] == [True]


def test_the_time_of_a_verdict_is_a_median_of_those_measured():
    rows = [(f"p{n}", "ab", "ann", float(n % 2), 600.0 if n == 0 else 4.0) for n in range(N - 1)]
    own, _ = of([*rows, (f"p{N}", "ab", "ann", 1.0)])
    assert (own.seconds.value, own.seconds.n) == (4.0, N - 1)


def test_a_small_sample_warns_of_nothing():
    own, said = of(in_both_orders(lambda n, shown: 1.0)[:30])
    assert (own.flips.value, own.flips.enough, said) == (1, False, [])


@pytest.mark.parametrize(
    ("state", "says"),
    [("skipped", "Questions are skipped"), ("invalid", "Answers are no verdicts")],
)
def test_verdicts_that_are_none_are_told_however_few_there_are(state, says):
    rows = [(f"p{n}", "ab", "ann", state if n < 4 else float(n % 2)) for n in range(8)]
    (text,) = of(rows)[1]
    assert text.startswith(says)
    assert "ann 50 % [22, 78]" in text
    assert of(rows[3:])[1] == []  # one of five may be chance


def test_fair_judges_are_seldom_warned_of():
    warned, rng = 0, np.random.default_rng(0)
    for _ in range(40):
        answers = rng.random(N) < 0.5
        rows = in_both_orders(lambda n, shown, a=answers: float((shown == "ab") == a[n]))
        warned += len(of(rows)[1])
    assert warned <= 6  # an interval of 95 % leaves out what is true in 2 of 40


def test_what_is_doubtful_of_several_is_said_once():
    rows = [(f"p{n}", shown, who, 0.0) for n in range(N) for shown in ("ab", "ba") for who in "xy"]
    both = verdicts(*rows)
    one = verdicts(*[row for n, row in enumerate(rows) if n // 2 % 2 == n // 4 % 2])
    (flips,) = doubts(honesty(both, texts()), pairs_rated(comparisons(both)))
    assert "x 100 % [91, 100], y 100 % [91, 100]" in flips
    seldom, *_ = doubts(honesty(one, texts()), pairs_rated(comparisons(one)))
    assert "too seldom (50 % is fair): x 0 % [0, 9], y 0 % [0, 9]" in seldom


def test_annotators_who_agree_by_chance_are_told_together():
    rng = np.random.default_rng(1)
    rows = [
        (f"p{n}", "ab", f"people/{who}", float(rng.random() < 0.5))
        for n in range(N)
        for who in ("ann", "bob")
    ]
    table = verdicts(*rows)
    said = doubts([], pairs_rated(comparisons(table)))
    assert ["agree too little" in text for text in said] == [True]


def test_figures_of_all_raters_together_are_rows_of_metrics():
    rows = in_both_orders(lambda n, shown: 1.0)
    rows += [(f"p{n}", "ab", "people/ann", 1.0) for n in range(N)]
    found = check_table("metrics", metrics_of(verdicts(*rows), texts(), 3))
    values = {row["metric"]: row["value"] for row in found.iter_rows(named=True)}
    assert set(found["round"]) == {3}
    assert (values["order_flips"], values["first_shown_preferred"]) == (1, 1)
    assert values["longer_preferred"] == 1  # ann's; the judge's own contradict each other
    assert values["label_agreement"] < 0


def test_two_raters_who_saw_a_pair_in_one_order_each_flip_nothing():
    rows = [(f"p{n}", *how) for n in range(N) for how in (("ab", "x", 1.0), ("ba", "y", 1.0))]
    metrics = metrics_of(verdicts(*rows), texts(), 1)
    assert "order_flips" not in metrics["metric"]


def test_of_no_verdicts_there_are_no_metrics():
    assert check_table("metrics", metrics_of(verdicts(), texts(), 1)).is_empty()
