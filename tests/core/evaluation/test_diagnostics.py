"""Each figure behind a win rate against a case that is counted by hand."""

import math

import numpy as np
import polars as pl
import pytest

from prefopt_core.evaluation import diagnostics
from prefopt_core.evaluation.diagnostics import (
    SURE,
    calibration_error,
    distinct_bigrams,
    flagged_wrong,
    own_labels,
)
from prefopt_core.labels.questions import Verdict
from tests.verdicts import scores_table, verdicts_table

SAMPLED = {"a": ("one two", -2.0), "b": ("three", -5.0), "c": ("  four\nfive six ", None)}


def said(text):
    return [
        {"role": "assistant", "content": "not the last"},
        {"role": "assistant", "content": text},
    ]


def pair(prompt, chosen="yes", rejected="no", source="self", confidence=0.75):
    return {
        "prompt_id": prompt, "chosen_id": f"{prompt}0", "rejected_id": f"{prompt}1",
        "chosen": said(chosen), "rejected": said(rejected),
        "source": source, "confidence": confidence,
    }  # fmt: skip


def truth(**scores):
    """prompt → gold scores of its responses 0, 1, …"""
    return scores_table(
        {prompt: {f"{prompt}{i}": s for i, s in enumerate(own)} for prompt, own in scores.items()}
    )


def judged(*verdicts):
    """(preferences, truth) of self-labelled pairs, from (confidence, whether gold agrees)s."""
    pairs = [pair(f"p{i}-", confidence=sure) for i, (sure, _) in enumerate(verdicts)]
    scores = {f"p{i}-": (1, 0) if right else (0, 1) for i, (_, right) in enumerate(verdicts)}
    return pl.DataFrame(pairs), truth(**scores)


def responses():
    texts, logps = zip(*SAMPLED.values(), strict=True)
    table = {"candidate_id": list(SAMPLED), "response": texts, "logps": logps}
    return pl.DataFrame(table | {"finish_reason": ["stop", "length", "stop"]})


def test_of_responses_words_and_those_that_were_cut_off_are_counted():
    found = dict(diagnostics.responses_now(responses(), None))
    assert found["response_words"].tolist() == [2, 1, 3]
    assert found["unfinished"].tolist() == [0, 1, 0]
    assert set(found) == {"response_words", "unfinished"}


def test_kl_is_the_mean_of_the_log_ratios_of_what_was_sampled():
    # π samples a with p = e⁻², so log π(a)/π_init(a) = -2 + 3; c came from a file, so without π
    start = pl.DataFrame({"candidate_id": ["c", "b", "a"], "logps": [-1.0, -4.5, -3.0]})
    found = dict(diagnostics.responses_now(responses(), start))
    assert found["kl_from_start"].tolist() == [1.0, -0.5]


def test_kl_of_a_known_pair_of_distributions_comes_out():
    rng = np.random.default_rng(0)
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.3, 0.5])
    drawn = rng.choice(3, size=20_000, p=p)
    ids = [str(i) for i in drawn]
    table = pl.DataFrame(
        {"candidate_id": ids, "response": ids, "finish_reason": "stop", "logps": np.log(p)[drawn]}
    )
    start = pl.DataFrame({"candidate_id": ["0", "1", "2"], "logps": np.log(q)})
    found = dict(diagnostics.responses_now(table, start))["kl_from_start"]
    assert len(found) == 20_000
    assert found.mean() == pytest.approx((p * np.log(p / q)).sum(), abs=4 * found.std() / 141)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a b c", "a b"], 2 / 3),  # (a b) (b c) (a b)
        (["a a a"], 1 / 2),
        (["a b", "b a"], 1.0),
        (["a", ""], 0.0),
        (["a  b\nc ", "a b c"], 2 / 4),  # words are what white space divides, here too
    ],
    ids=str,
)
def test_distinct_2_counts_pairs_of_neighbouring_words(texts, expected):
    assert distinct_bigrams(pl.DataFrame({"response": texts})) == expected


def test_length_of_pairs_is_that_of_the_chosen_minus_the_rejected():
    pairs = pl.DataFrame(
        [
            pair("a", "one two three", "one"),
            pair("b", "", "one\ntwo"),
            pair("c", "one", "one", source="gold"),
        ]
    )
    found = dict(diagnostics.pairs_learned(pairs))
    assert found["self_pair_words"].tolist() == [2, -2]
    assert found["gold_pair_words"].tolist() == [0]


def test_agreement_is_over_self_labelled_pairs_that_gold_decides():
    pairs = pl.DataFrame([*(pair(p) for p in "abcdf"), pair("e", source="gold")])
    scores = truth(a=(1, 0), b=(0, 1), c=(2, 2), d=(None, 1), e=(5, 0))  # f was not judged
    found = dict(own_labels(pairs, scores))
    assert found["self_label_agreement"].tolist() == [1, 0]
    assert found["self_label_confidence"].tolist() == [0.75, 0.75]


def test_bins_of_confidence_hold_their_lower_end_and_the_last_one_holds_1():
    edges = [0.5, 0.599, 0.6, 0.7, 0.8, math.nextafter(0.9, 0), 0.9, 1.0]
    found = dict(own_labels(*judged(*((edge, True) for edge in edges))))
    bins = {low: found[f"sure_{low}"].tolist() for low in SURE}
    assert bins == {
        50: [0.5, 0.599], 60: [0.6], 70: [0.7], 80: [0.8, math.nextafter(0.9, 0)], 90: [0.9, 1.0]
    }  # fmt: skip
    assert all(len(found[f"right_when_sure_{low}"]) == len(bins[low]) for low in SURE)


def test_calibration_error_is_the_one_computed_by_hand():
    # 0.5 to 0.6: one of two right, sure 0.55; 0.9 to 1: one of three right, sure 0.95
    verdicts = [(0.5, True), (0.595, False), (0.92, True), (0.93, False), (1.0, False)]
    low, high = abs(1 / 2 - (0.5 + 0.595) / 2), abs(1 / 3 - (0.92 + 0.93 + 1.0) / 3)
    expected = (2 * low + 3 * high) / 5
    assert calibration_error(*judged(*verdicts)) == (pytest.approx(expected), 5)


def test_calibration_error_of_a_perfectly_calibrated_judge_is_0():
    verdicts = [(0.5, i < 1) for i in range(2)] + [(0.6, i < 3) for i in range(5)]
    verdicts += [(0.75, i < 3) for i in range(4)] + [(1.0, True)]
    assert calibration_error(*judged(*verdicts)) == (pytest.approx(0), 12)
    assert calibration_error(*judged(*[(1.0, False)] * 3)) == (1.0, 3)


def test_without_a_pair_that_gold_decides_there_is_no_calibration():
    pairs, _ = judged((0.9, True))
    assert calibration_error(pairs, truth(**{"p0-": (1, 1)})) is None
    assert calibration_error(pairs.with_columns(source=pl.lit("gold")), judged((0.9, 1))[1]) is None


def test_doubts_count_once_for_each_time_a_pair_was_flagged():
    pairs = pl.DataFrame([pair("a"), pair("b"), pair("c"), pair("d"), pair("e", source="gold")])
    scores = truth(a=(1, 0), b=(0, 1), c=(0, 1), d=(1, 1), e=(0, 1))
    flagged = pl.DataFrame(
        {
            "prompt_id": ["x", "b", "a", "d", "e"],  # x is of another round, d a tie, e paid for
            "chosen_id": ["x0", "b0", "a0", "d0", "e0"],
            "rejected_id": ["x1", "b1", "a1", "d1", "e1"],
            "times": [9, 3, 1, 9, 9],
        }
    )
    assert sorted(flagged_wrong(pairs, flagged, scores)) == [0, 1, 1, 1]
    assert len(flagged_wrong(pairs, flagged.clear(), scores)) == 0


def test_a_training_is_seen_over_its_last_quarter():
    steps = pl.DataFrame(
        {
            "step": range(1, 11),
            "chosen_shift": [100.0] * 7 + [-1.0, -2.0, -3.0],  # a quarter of 10 is 3 steps
            "rejected_shift": [0.0] * 9 + [-3.0],
            "threshold": [None] * 5 + [9.0, 9.0, 0.1, 0.2, 0.3],
            "flagged": [0.0] * 5 + [None, 0.25, 0.25, 0.0, 0.5],
        }
    )
    found = dict(diagnostics.training_late(steps))
    assert found == {
        "chosen_shift": -2.0,
        "rejected_shift": -1.0,
        "threshold": pytest.approx(0.2),
        "flagged": 0.25,  # of the steps after the warm-up that had self-labelled pairs
    }


def test_of_a_training_without_detection_only_the_shifts_are_told():
    steps = pl.DataFrame(
        {"step": [1], "chosen_shift": [0.5], "rejected_shift": [-0.5]}
        | {"threshold": [None], "flagged": [None]}
    )
    assert dict(diagnostics.training_late(steps)) == {"chosen_shift": 0.5, "rejected_shift": -0.5}


def bought(*said):
    """metric → (value, of how many), of (prompt, responses as letters, verdict)s."""
    table = verdicts_table(*((prompt, list(letters), verdict) for prompt, letters, verdict in said))
    return {name: values for name, *values in diagnostics.labels_bought(table)}


def test_both_orders_are_one_label_and_each_person_gives_one():
    both = [("p", "ab", Verdict.preferred(0.9)), ("p", "ba", Verdict.preferred(0.2))]
    assert bought(*both) == {"labels": [1, 1]}
    people = [("q", "ab", Verdict.preferred(1.0, by=by)) for by in ("Mary", "John")]
    assert bought(*both, *people) == {"labels": [3, 3]}


def test_labels_that_make_no_pair_are_counted_by_why():
    found = bought(
        ("p", "ab", Verdict("skipped")),
        ("q", "ab", Verdict("invalid")),
        ("q", "ba", Verdict("invalid")),
        ("r", "ab", Verdict("both_bad")),
        ("s", "ab", Verdict.preferred(0.9)),
    )
    assert found == {
        "labels": [4, 4],
        "skipped_labels": [1, 5],
        "invalid_labels": [2, 5],
        "both_bad_labels": [1, 5],
    }


def test_prompts_whose_responses_end_equal_are_counted_among_those_that_were_compared():
    sided = [("p", "ab", Verdict.preferred(0.75)), ("p", "ba", Verdict.preferred(0.75))]
    others = [("q", "ab", Verdict("tie")), ("r", "ab", Verdict.preferred(0.75))]
    assert bought(*sided, *others) == {"labels": [3, 3], "tied_prompts": [2, 3]}


def test_without_labels_there_are_none():
    assert list(diagnostics.labels_bought(None)) == [("labels", 0, 0)]
    assert bought() == {"labels": [0, 0]}
