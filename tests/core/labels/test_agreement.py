"""Agreement against textbook numbers, statsmodels and algebra; intervals against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats import inter_rater

from prefopt_core.labels.agreement import (
    Rated,
    between,
    cohens_kappa,
    fleiss_kappa,
    krippendorffs_alpha,
    observed,
    pairs_rated,
    responses_rated,
)
from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.estimates import median, over_prompts, share
from prefopt_core.labels.evidence import scored
from tests.core.labels.said import verdicts

_ = np.nan
TEXTBOOK = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T
"""Krippendorff's own example (2011, section D): 12 units, 4 observers."""


def rated(ratings):
    ratings = np.asarray(ratings, dtype=np.float64)
    names = "abcdefgh"[: ratings.shape[1]]
    return Rated(ratings, np.arange(len(ratings)), tuple(names))


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_krippendorffs_own_example_is_his(level, alpha):
    assert krippendorffs_alpha(rated(TEXTBOOK), level).value == pytest.approx(alpha, abs=5e-4)


def test_alpha_counts_items_with_one_rating_as_none():
    found = krippendorffs_alpha(rated(TEXTBOOK))
    assert found.n == 11  # the last of the 12 has one
    assert found == krippendorffs_alpha(rated(TEXTBOOK[:11]))


ratings_of = st.integers(2, 5).flatmap(
    lambda raters: st.lists(
        st.lists(st.integers(0, 3), min_size=raters, max_size=raters), min_size=2, max_size=30
    )
)


@given(ratings_of)
def test_fleiss_kappa_is_that_of_statsmodels(ratings):
    table, _ = inter_rater.aggregate_raters(np.array(ratings))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = inter_rater.fleiss_kappa(table)
    assert fleiss_kappa(rated(ratings)).value == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_cohens_kappa_is_that_of_statsmodels(ratings):
    table = np.zeros((4, 4))
    for one, other in ratings:
        table[one, other] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = inter_rater.cohens_kappa(table).kappa
    assert cohens_kappa(rated(ratings)).value == pytest.approx(expected, nan_ok=True)


def test_whoever_agrees_perfectly_has_one_everywhere_and_no_doubt():
    same = rated(np.repeat(np.arange(30)[:, None] % 3, 2, axis=1))
    for figure in (observed, cohens_kappa, fleiss_kappa, krippendorffs_alpha):
        found = figure(same)
        assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_raters_who_always_say_one_thing_have_no_kappa():
    alike = rated(np.zeros((30, 2)))
    assert observed(alike).value == 1
    for figure in (cohens_kappa, fleiss_kappa, krippendorffs_alpha):
        assert np.isnan(figure(alike).value)


def test_ratings_at_random_agree_no_better_than_chance():
    drawn = np.random.default_rng(0).integers(0, 3, size=(600, 3))
    for figure in (fleiss_kappa, krippendorffs_alpha):
        found = figure(rated(drawn))
        assert found.low < 0 < found.high
        assert found.high - found.low < 0.2


def test_alpha_of_an_interval_scale_is_blind_to_shift_and_unit():
    scores = np.random.default_rng(1).normal(size=(40, 1)) + np.random.default_rng(2).normal(
        size=(40, 3)
    )
    plain = krippendorffs_alpha(rated(scores), "interval")
    moved = krippendorffs_alpha(rated(1e6 - 7 * scores), "interval")
    assert moved.value == pytest.approx(plain.value, rel=1e-6)
    assert krippendorffs_alpha(rated(np.exp(scores)), "ordinal").value == pytest.approx(
        krippendorffs_alpha(rated(scores), "ordinal").value
    )


def test_an_interval_is_wider_where_prompts_have_many_items():
    rng = np.random.default_rng(3)
    hard = np.repeat(rng.integers(0, 2, 40), 8)  # on half of the prompts they always disagree
    one = rng.integers(0, 2, 320)
    ratings = np.column_stack([one, one ^ hard])
    apart = Rated(ratings.astype(float), np.arange(320), ("a", "b"))
    together = Rated(ratings.astype(float), np.repeat(np.arange(40), 8), ("a", "b"))
    width = [f.high - f.low for f in (cohens_kappa(apart), cohens_kappa(together))]
    assert width[1] > 2 * width[0]


def test_the_same_ratings_have_the_same_interval():
    assert krippendorffs_alpha(rated(TEXTBOOK)) == krippendorffs_alpha(rated(TEXTBOOK))


@given(st.integers(0, 60), st.integers(1, 60))
def test_the_interval_of_a_share_is_wilsons_where_each_prompt_has_one_item(hits, more):
    found = share(np.arange(hits + more) < hits, np.arange(hits + more))
    expected = binomtest(hits, hits + more).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_interval_of_a_share_holds_what_is_true_though_a_prompts_items_are_alike():
    rng, held, naive = np.random.default_rng(4), 0, 0
    prompts = np.repeat(np.arange(60), 6)
    for _ in range(400):
        hits = rng.random(360) < np.repeat(rng.beta(0.6, 0.4, 60), 6)  # 60 % on the whole
        found, alone = share(hits, prompts), share(hits, np.arange(360))
        held += found.low <= 0.6 <= found.high
        naive += alone.low <= 0.6 <= alone.high
    assert 0.92 <= held / 400 <= 0.98
    assert naive / 400 < 0.8


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says():
    x = np.random.default_rng(5).normal(size=400)
    parts = np.column_stack([x, np.ones(400)])
    found = over_prompts(parts, lambda s: s[..., 0] / s[..., 1], np.arange(400))
    assert found.value == pytest.approx(x.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)


def test_the_median_has_an_interval_of_its_own_values():
    times = np.arange(1.0, 41.0)
    found = median(times, np.arange(40))
    assert found.value == 20.5
    assert {found.low, found.high} <= set(times)
    assert found.low < 16 < 25 < found.high


def test_of_nothing_there_is_no_figure():
    none = rated(np.empty((0, 2)))
    for figure in (observed, cohens_kappa, fleiss_kappa, krippendorffs_alpha):
        assert (figure(none).n, figure(none).enough) == (0, False)
    assert krippendorffs_alpha(rated([[1, _], [_, 2]]), "interval").n == 0
    assert share(np.array([], dtype=bool), np.array([])).n == 0
    assert median(np.array([]), np.array([])).n == 0


def test_twenty_pairs_of_one_prompt_are_not_enough_and_twenty_prompts_are():
    ratings = np.tile([[0.0, 0.0], [1.0, 0.0]], (10, 1))
    assert not observed(Rated(ratings, np.repeat("p", 20), ("a", "b"))).enough
    assert observed(Rated(ratings, np.arange(20), ("a", "b"))).enough


def test_the_order_shown_makes_no_disagreement():
    rows = [(f"p{n}", "ab", "people/ann", float(n % 2)) for n in range(30)]
    rows += [(f"p{n}", "ba", "people/bob", float(1 - n % 2)) for n in range(30)]
    (two,) = between(pairs_rated(comparisons(verdicts(*rows))))
    assert (two.one, two.other) == ("people: ann", "people: bob")
    assert (two.observed.value, two.kappa.value, two.observed.n) == (1, 1, 30)


def test_two_raters_without_a_common_pair_are_not_compared():
    rows = [("p", "ab", "x", 1.0), ("q", "ab", "y", 1.0), ("q", "ab", "z", 1.0)]
    found = between(pairs_rated(comparisons(verdicts(*rows))))
    assert [(two.one, two.other) for two in found] == [("y", "z")]


def test_scores_of_single_responses_have_an_alpha():
    rows = [
        (f"p{n}", "a", who, [n + shift]) for n in range(25) for who, shift in (("x", 0), ("y", 1))
    ]
    found = krippendorffs_alpha(responses_rated(scored(verdicts(*rows))), "interval")
    assert found.n == 25
    assert 0.98 < found.value < 1


def test_a_rater_may_have_any_name():
    rows = [("p", "ab", "prompt_id", 1.0), ("p", "ab", "first", 1.0), ("p", "ab", "row", 0.0)]
    assert pairs_rated(comparisons(verdicts(*rows))).raters == ("first", "prompt_id", "row")
