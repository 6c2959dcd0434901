"""One label of several verdicts: a case worked by hand, algebra, and planted errors found again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.labels.aggregation import aggregate, dawid_skene, pair_errors, votes
from prefopt_core.labels.comparisons import SAID, comparisons
from tests.core.labels.said import verdicts

some_labels = st.integers(1, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.integers(-1, 2), min_size=raters, max_size=raters).filter(
            lambda row: max(row) >= 0
        ),
        min_size=1,
        max_size=12,
    )
)


def planted(seed, errors, items=500, classes=2):
    """True classes, and what raters with these error rates say of them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, items)
    wrong = rng.random((items, len(errors))) < np.array(errors)
    other = (truth[:, None] + rng.integers(1, classes, (items, len(errors)))) % classes
    return truth, np.where(wrong, other, truth[:, None])


def with_gaps(seed):
    """What four raters say of 120 items, a third of it missing; each item has a label."""
    _, labels = planted(seed, (0.1, 0.2, 0.3, 0.4), items=120, classes=3)
    gaps = np.random.default_rng(seed).random(labels.shape) < 1 / 3
    gaps[:, 0] &= ~gaps[:, 1:].all(axis=1)
    return np.where(gaps, -1, labels)


def test_a_case_worked_by_hand():
    # Two raters say (0, 0), (1, 1), (0, 1). With ½ for the third item, p = ½ and rater 1, who
    # says 0 of it, is right on all of class 0 and on 1 of the 1½ of class 1; rater 2 the other
    # way round. Bayes gives the third 1 · ⅓ against ⅓ · 1, so ½ again: a fixed point.
    fit = dawid_skene(np.array([[0, 0], [1, 1], [0, 1]]), 2)
    assert fit.posterior == pytest.approx(np.array([[1, 0], [0, 1], [0.5, 0.5]]))
    assert fit.classes == pytest.approx(np.array([0.5, 0.5]))
    assert fit.confusion[0] == pytest.approx(np.array([[1, 0], [1 / 3, 2 / 3]]))
    assert fit.confusion[1] == pytest.approx(np.array([[2 / 3, 1 / 3], [0, 1]]))
    assert fit.accuracy() == pytest.approx(np.array([5 / 6, 5 / 6]))


def test_a_rater_who_always_says_the_opposite_is_understood():
    fit = dawid_skene(np.array([[0, 0, 1], [1, 1, 0]] * 3), 2)
    assert fit.confusion[2] == pytest.approx(np.array([[0, 1], [1, 0]]), abs=1e-6)
    assert fit.posterior[:2] == pytest.approx(np.eye(2))


@pytest.mark.parametrize("seed", range(6))
def test_the_fit_solves_its_own_equations(seed):
    labels = with_gaps(seed)
    fit = dawid_skene(labels, 3)
    for item, own in enumerate(labels):
        weights = fit.classes.copy()
        for rater, said in enumerate(own):
            if said >= 0:
                weights = weights * fit.confusion[rater, :, said]
        assert fit.posterior[item] == pytest.approx(weights / weights.sum(), abs=1e-6)
    assert fit.posterior.mean(axis=0) == pytest.approx(fit.classes, abs=1e-6)
    for rater, shares in enumerate(fit.confusion):
        known = labels[:, rater] >= 0
        count = fit.posterior[known].T @ np.eye(3)[labels[known, rater]]
        assert shares == pytest.approx(count / count.sum(axis=1, keepdims=True), abs=1e-5)


@given(some_labels)
def test_what_all_say_is_certain(labels):
    agreed = np.where(np.array(labels) >= 0, 1, -1)
    assert dawid_skene(agreed, 3).posterior[:, 1] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_raters_and_items_means_nothing(seed):
    labels, rng = with_gaps(seed), np.random.default_rng(seed)
    items, raters = (rng.permutation(size) for size in labels.shape)
    plain, shuffled = dawid_skene(labels, 3), dawid_skene(labels[items][:, raters], 3)
    assert shuffled.posterior == pytest.approx(plain.posterior[items], abs=1e-5)
    assert shuffled.accuracy() == pytest.approx(plain.accuracy()[raters], abs=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_planted_error_rates_are_found_again_and_serve_better_than_a_majority(classes):
    errors, right, majority = (0.05, 0.1, 0.2, 0.4, 0.45), 0, 0
    for seed in range(5):
        truth, labels = planted(seed, errors, items=1000, classes=classes)
        fit = dawid_skene(labels, classes)
        assert fit.accuracy() == pytest.approx(1 - np.array(errors), abs=0.07)
        right += (fit.posterior.argmax(axis=1) == truth).mean() / 5
        majority += (votes(labels, classes).argmax(axis=1) == truth).mean() / 5
    assert right > majority + 0.02


def test_a_posterior_is_right_as_often_as_it_says():
    truth, labels = planted(7, (0.2, 0.25, 0.3), items=4000)
    posterior = dawid_skene(labels, 2).posterior
    assert posterior.max(axis=1).mean() == pytest.approx(
        (posterior.argmax(axis=1) == truth).mean(), abs=0.03
    )


@pytest.mark.parametrize("seed", range(6))
def test_which_response_of_a_pair_counts_as_its_first_means_nothing(seed):
    labels = with_gaps(seed)
    turn = np.random.default_rng(seed).random((len(labels), 1)) < 0.5
    swapped = np.array([1, 0, 2, 3, -1])[labels]
    plain, turned = pair_errors(labels), pair_errors(np.where(turn, swapped, labels))
    back = np.where(turn, turned.posterior[:, [1, 0, 2, 3]], turned.posterior)
    assert back == pytest.approx(plain.posterior, abs=1e-5)
    assert turned.accuracy() == pytest.approx(plain.accuracy(), abs=1e-5)
    assert plain.classes[0] == plain.classes[1]


def label_of(*said, method="majority"):
    """The label of one pair of which several people say something."""
    how = {"first": 1.0, "second": 0.0}
    rows = [("p", "ab", f"people/{n}", how.get(one, one)) for n, one in enumerate(said)]
    return aggregate(comparisons(verdicts(*rows)), method).row(0, named=True)


def test_the_majority_decides_and_its_share_is_the_confidence():
    found = label_of("first", "first", "second")
    assert (found["said"], found["n"]) == ("first", 3)
    assert found["confidence"] == pytest.approx(2 / 3)
    assert found["probability"] == pytest.approx(2 / 3)


def test_where_as_many_say_something_else_there_is_no_preference():
    assert label_of("first", "second")["said"] == "tie"
    assert label_of("first", "second", "tie")["confidence"] == pytest.approx(1 / 3)
    assert label_of("first", "second")["probability"] == 0.5


def test_a_tie_counts_half_and_both_bad_is_a_label():
    assert label_of("first", "tie", "tie")["probability"] == pytest.approx(2 / 3)
    assert label_of("both_bad", "both_bad", "first")["said"] == "both_bad"


def test_of_no_verdict_there_is_no_label():
    for method in ("majority", "dawid_skene"):
        assert aggregate(comparisons(verdicts()), method).is_empty()
        nothing = verdicts(("p", "ab", "people/ann", "skipped"))
        assert aggregate(comparisons(nothing), method).is_empty()


def test_the_rater_who_errs_less_counts_more():
    _, labels = planted(1, (0.02, 0.35, 0.4), items=200)
    rows = [
        (f"p{item}", "ab", f"people/{rater}", float(1 - said))
        for item, own in enumerate(labels)
        for rater, said in enumerate(own)
    ]
    found = aggregate(comparisons(verdicts(*rows)), "dawid_skene").sort("prompt_id")
    best = comparisons(verdicts(*rows)).filter(rater="people: 0").sort("prompt_id")
    assert (found["said"] == best["said"]).mean() > 0.95
    assert set(found["said"]) <= set(SAID)
