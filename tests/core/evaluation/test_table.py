"""The figures of a round: ties count half, what was not judged does not count."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.evaluation.games import games_of
from prefopt_core.evaluation.length_controlled import length_controlled_win_rate
from prefopt_core.evaluation.statistics import bootstrap_interval
from prefopt_core.evaluation.table import RoundTables, evaluate
from prefopt_core.ground.randomness import seed_for
from prefopt_core.ground.tables import check_table
from prefopt_core.labels.questions import Verdict
from tests.verdicts import scores_table, verdicts_table


def grades(**scores):
    """prompt → score, or scores of several responses."""
    several = {p: own if isinstance(own, list) else [own] for p, own in scores.items()}
    return scores_table(
        {p: {f"{p}{i}": score for i, score in enumerate(own)} for p, own in several.items()}, "gold"
    )


def pairs(*ids, source="self"):
    """(chosen, rejected) ids; the first letter is the prompt."""
    said = [{"role": "assistant", "content": "So it is."}]
    rows = [
        {
            "prompt_id": chosen[0], "chosen_id": chosen, "rejected_id": rejected, "source": source,
            "chosen": said, "rejected": said, "confidence": 0.75,
        }
        for chosen, rejected in ids
    ]  # fmt: skip
    return pl.DataFrame(rows)


def responses(*texts, cut=0):
    reasons = ["length"] * cut + ["stop"] * (len(texts) - cut)
    return pl.DataFrame({"response": texts, "finish_reason": reasons})


def measure(number=1, **tables):
    """metric → row."""
    table = evaluate(RoundTables(**tables), round_number=number, seed=0)
    assert check_table("metrics", table)["round"].to_list() == [number] * table.height
    return {row["metric"]: row for row in table.iter_rows(named=True)}


def test_win_rate_counts_a_tie_as_half_a_win():
    found = measure(
        grades=grades(a=2.0, b=1.0, c=3.0, d=0.0),
        start_grades=grades(d=0.0, c=1.0, b=2.0, a=1.0),  # in another order
        previous_grades=grades(a=3.0, b=3.0, c=3.0, d=3.0),
    )
    assert found["gold_score"]["value"] == 1.5
    assert found["win_rate"]["value"] == (1 + 0 + 1 + 0.5) / 4
    assert found["win_rate_over_previous"]["value"] == 0.5 / 4
    assert found["win_rate"]["n"] == 4


def test_several_responses_to_a_prompt_count_as_their_mean():
    found = measure(grades=grades(a=[0.0, 4.0], b=1.0), start_grades=grades(a=1.5, b=1.0))
    assert found["gold_score"]["value"] == 1.5
    assert found["win_rate"]["value"] == 0.75


def test_prompts_that_one_side_was_not_judged_on_are_left_out():
    found = measure(grades=grades(a=1.0, b=None, c=5.0), start_grades=grades(a=0.0, b=9.0, c=None))
    assert (found["gold_score"]["value"], found["gold_score"]["n"]) == (3.0, 2)
    assert (found["win_rate"]["value"], found["win_rate"]["n"]) == (1.0, 1)


def test_figures_of_nothing_are_left_out():
    found = measure(
        grades=grades(a=None), start_grades=grades(a=1.0),
        preferences=pairs(("a0", "a1")), truth=grades(a=[1.0, 1.0]),
    )  # fmt: skip
    assert set(found) == {"labels", "gold_pairs", "self_pairs", "self_pair_words"}


def test_agreement_leaves_out_gold_ties_unjudged_pairs_and_paid_labels():
    truth = grades(a=[1.0, 0.0], b=[0.0, 1.0], c=[2.0, 2.0], d=[None, 1.0], e=[0.0, 5.0])
    own = pairs(("a0", "a1"), ("b0", "b1"), ("c0", "c1"), ("d0", "d1"))
    paid = pairs(("e0", "e1"), source="gold")
    found = measure(preferences=pl.concat([own, paid]), truth=truth)
    agreement = found["self_label_agreement"]
    assert (agreement["value"], agreement["n"]) == (0.5, 2)
    assert (found["self_pairs"]["value"], found["gold_pairs"]["value"]) == (4, 1)
    error = found["calibration_error"]  # sure of both, by ¾, and right in one
    assert (error["value"], error["n"], error["low"]) == (pytest.approx(0.25), 2, None)


def test_what_the_training_noted_is_part_of_the_round():
    truth = grades(a=[1.0, 0.0], b=[0.0, 1.0])
    steps = {"step": [1, 2], "chosen_shift": [-1.0, -3.0], "rejected_shift": [-2.0, -5.0]}
    flagged = {"prompt_id": ["b"], "chosen_id": ["b0"], "rejected_id": ["b1"], "times": [2]}
    found = measure(
        preferences=pairs(("a0", "a1"), ("b0", "b1")), truth=truth, flagged=pl.DataFrame(flagged),
        steps=pl.DataFrame({**steps, "threshold": [None, 0.5], "flagged": [0.0, 0.25]}),
    )  # fmt: skip
    assert (found["flagged_wrong"]["value"], found["flagged_wrong"]["n"]) == (1.0, 2)
    expected = {"chosen_shift": -3.0, "rejected_shift": -5.0, "threshold": 0.5, "flagged": 0.25}
    assert {name: found[name]["value"] for name in expected} == expected
    assert {found[name]["low"] for name in expected} == {None}


def test_how_far_the_policy_moved_has_an_interval():
    table = responses("a b", "b c", "a b").with_columns(
        candidate_id=pl.Series(["x", "y", "z"]), logps=pl.Series([-1.0, -2.0, -3.0])
    )
    start = pl.DataFrame({"candidate_id": ["x", "y", "z"], "logps": [-2.0, -4.0, -6.0]})
    found = measure(responses=table, start_logps=start)
    kl = found["kl_from_start"]
    assert (kl["value"], kl["n"]) == (2.0, 3)
    assert 1.0 <= kl["low"] < 2.0 < kl["high"] <= 3.0
    assert found["distinct_2"]["value"] == pytest.approx(2 / 3)


def answers(**texts):
    """Table `candidates` of one response to each prompt, of these letters; ids are as in grades."""
    rows = [
        {"prompt_id": p, "candidate_id": f"{p}{own[0]}", "response": own, "finish_reason": "stop"}
        for p, own in texts.items()
    ]
    return pl.DataFrame(rows)


def compared(**said):
    """prompt → P(1 better than 0), or both orders' of it."""
    rows = [
        (p, (f"{p}1", f"{p}0") if at == 0 else (f"{p}0", f"{p}1"), Verdict("given", preference=q))
        for p, own in said.items()
        for at, q in enumerate(own if isinstance(own, list) else [own])
    ]
    return verdicts_table(*rows)


def test_win_rate_at_equal_length_is_that_of_the_evaluator():
    prompts = enumerate("abcdefghijklmnopqrstuvwx")
    said = {p: ("0" * (5 + 3 * at), "1" * (9 + at % 4)) for at, p in prompts}
    start = answers(**{p: before for p, (before, _) in said.items()})
    now = answers(**{p: after for p, (_, after) in said.items()})
    own, other = (
        scores_table({p: {f"{p}{n}": at * sign % 5.0} for at, p in enumerate(said)})
        for n, sign in (("1", 1), ("0", 2))
    )
    rows = measure(
        grades=own, start_grades=other, responses=now, start_responses=start, previous_grades=other
    )
    (figure,) = length_controlled_win_rate(
        games_of(pl.concat([own, other]), {"start": start, "now": now}),
        seed_for("0", "length_controlled_win_rate"),
    )
    row = rows["length_controlled_win_rate"]
    assert (row["value"], row["low"], row["high"]) == (figure.value, figure.low, figure.high)
    assert row["n"] == 24
    assert row["value"] != rows["win_rate"]["value"]
    few = measure(
        grades=own[:19], start_grades=other, responses=now[:19], start_responses=start[:19]
    )
    assert "win_rate" in few
    assert "length_controlled_win_rate" not in few  # too few prompts to say


def test_an_annotator_that_compares_decides_games_and_gives_no_scores():
    said = compared(a=1.0, b=0.0, c=[1.0, 1.0], d=[0.8, 0.0])  # c: first one, then the other order
    before, now = ("0", "1")
    rows = measure(
        grades=said,
        start_grades=said,
        previous_grades=compared(a=0.0, b=0.0),
        responses=answers(**dict.fromkeys("abcde", now)),
        start_responses=answers(**dict.fromkeys("abcd", before), e=now),
        previous_responses=answers(**dict.fromkeys("abcd", before)),
    )
    assert "gold_score" not in rows
    # c contradicts itself, a tie; d is 0.8 and 1.0; e is the same text, a tie unasked
    assert rows["win_rate"]["value"] == pytest.approx((1 + 0 + 0.5 + 0.9 + 0.5) / 5)
    assert rows["win_rate_over_previous"]["value"] == 0.0
    assert rows["win_rate_over_previous"]["n"] == 2


def test_start_policy_is_round_zero_and_has_nobody_to_win_against():
    found = measure(0, grades=grades(a=1.0, b=2.0), responses=responses("one", "two words"))
    assert set(found) == {"gold_score", "response_words", "unfinished", "distinct_2", "labels"}
    assert found["labels"]["value"] == 0


def test_words_are_what_white_space_divides():
    texts = ("", "one", "two\nwords", "  and \t three words ")
    found = measure(responses=responses(*texts, cut=1))
    assert found["response_words"]["value"] == (0 + 1 + 2 + 3) / 4
    assert found["unfinished"]["value"] == 0.25


def test_labels_are_those_that_were_paid_for():
    found = measure(labels=grades(a=[1.0, None], b=2.0))
    assert (found["labels"]["value"], found["labels"]["low"]) == (3, None)


def test_same_tables_and_seed_give_the_same_intervals():
    tables = {"grades": grades(**{f"p{i}": float(i % 7) for i in range(30)})}
    assert measure(**tables) == measure(**tables)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=40), st.integers(0, 5))
def test_interval_contains_the_value(values, seed):
    low, high = bootstrap_interval(np.array(values), seed=seed, resamples=200)
    slack = 1e-9 * (1 + max(map(abs, values)))
    assert low - slack <= np.mean(values) <= high + slack


def test_interval_of_a_real_figure_is_about_two_standard_errors():
    wins = np.repeat([0.0, 0.5, 1.0], [60, 20, 120])
    found = measure(grades=grades(**{f"p{i:03}": w for i, w in enumerate(wins)}))["gold_score"]
    error = wins.std() / np.sqrt(200)
    assert found["low"] == pytest.approx(wins.mean() - 1.96 * error, abs=0.01)
    assert found["high"] == pytest.approx(wins.mean() + 1.96 * error, abs=0.01)
