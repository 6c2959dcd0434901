"""Games: from what an annotator says about responses to who wins at which prompt."""

import polars as pl

from prefopt_core.evaluation.games import games_of
from prefopt_core.labels.questions import Verdict
from tests.verdicts import scores_table, verdicts_table


def answers(*ids, text="x"):
    """The first letter of an id is its prompt."""
    rows = [{"prompt_id": one[0], "candidate_id": one, "response": text} for one in ids]
    return pl.DataFrame(rows)


def decided(games):
    """(policy, opponent, prompt) → preference."""
    rows = games.table.iter_rows(named=True)
    return {(r["policy"], r["opponent"], r["prompt_id"]): r["preference"] for r in rows}


def test_the_higher_mean_score_wins_and_what_one_side_lacks_is_no_game():
    verdicts = scores_table(
        {"p": {"p1": 1.0, "p2": 3.0, "p3": 2.0}, "q": {"q1": 1.0, "q2": 0.0}, "r": {"r1": 5.0}}
    )
    games = games_of(
        verdicts,
        {"start": answers("p1", "p2", "q1", "r1"), "end": answers("p3", "q2", "r2", text="long")},
    )
    assert decided(games) == {("end", "start", "p"): 0.5, ("end", "start", "q"): 0.0}
    assert games.table["length"].to_list() == [4.0, 4.0]
    assert games.table["opponent_length"].to_list() == [1.0, 1.0]


def test_two_orders_that_contradict_each_other_are_a_tie_and_so_are_equal_texts():
    first = Verdict.preferred(1.0)
    verdicts = verdicts_table(
        ("p", ("p1", "p2"), first), ("p", ("p2", "p1"), first),  # whatever comes first
        ("q", ("q1", "q2"), first), ("q", ("q2", "q1"), Verdict.preferred(0.2)),
        ("r", ("r2", "r1"), Verdict("both_bad")),
        ("s", ("s1", "s2"), Verdict("skipped")),
    )  # fmt: skip
    games = games_of(
        verdicts,
        {
            "old": answers("p1", "q1", "r1", "s1", "t1"),
            "new": answers("p2", "q2", "r2", "s2", "t1"),
        },
    )
    found = {prompt: value for (*_, prompt), value in decided(games).items()}
    assert {prompt: round(value, 9) for prompt, value in found.items()} == {
        "p": 0.5, "q": 0.1, "r": 0.5, "t": 0.5,
    }  # fmt: skip


def test_every_two_of_three_policies_play_and_the_first_is_the_reference():
    verdicts = scores_table({"p": {"p1": 1.0, "p2": 2.0, "p3": 3.0}})
    games = games_of(verdicts, {"a": answers("p2"), "b": answers("p1"), "c": answers("p3")})
    assert decided(games) == {("b", "a", "p"): 0.0, ("c", "a", "p"): 1.0, ("c", "b", "p"): 1.0}
    assert [policy for policy, _ in games.against_reference()] == ["b", "c"]
