"""Verdicts to pairs: paid labels first, then the most confident of the policy's own."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of
from prefopt_core.ground.tables import TABLES, check_table
from prefopt_core.labels.evidence import Evidence
from prefopt_core.labels.questions import Verdict
from prefopt_core.pairing.judged import Judged
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.pairing.table import pair_responses
from tests.verdicts import scores_table, verdicts_table

MESSAGES = {p: [{"role": "user", "content": f"prompt {p}"}] for p in "abcdef"}
PROMPTS = pl.DataFrame(
    {"prompt_id": list(MESSAGES), "prompt": list(MESSAGES.values())},
    schema=TABLES["prompts"].columns,
)
TEXTS = ["x", "yy", "zzz"]
CANDIDATES = pl.DataFrame(
    [
        {
            "prompt_id": p,
            "candidate_id": candidate_id_of(p, text),
            "sample": sample,
            "response": text,
            "policy": "tiny",
            "finish_reason": "stop",
            "prompt_token_ids": [1, ord(p)],
            "response_token_ids": [10 + sample, 2],
            "logps": -1.0,
            "template": "t",
        }
        for p in MESSAGES
        for sample, text in enumerate(TEXTS)
    ],
    schema=TABLES["candidates"].columns,
)
LOGPS = CANDIDATES.select("candidate_id", logps=pl.col("sample").cast(pl.Float64) - 9)


def verdicts(annotator="judge", **scores):
    """prompt → scores of its responses; None is a verdict that was not given."""
    return scores_table(
        {
            p: {candidate_id_of(p, text): s for text, s in zip(TEXTS, own, strict=True)}
            for p, own in scores.items()
        },
        annotator,
    )


def pair(labels=None, judgments=None, logps=LOGPS, candidates=CANDIDATES, seed=0, **config):
    table = pair_responses(
        labels=labels, judgments=judgments, candidates=candidates.lazy(), prompts=PROMPTS,
        logps=None if logps is None else logps.lazy(), config=PairingConfig(**config),
        round_number=2, seed=seed,
    )  # fmt: skip
    return check_table("preferences", table)


def test_pair_has_the_texts_tokens_and_reference_logps_of_its_sides():
    (row,) = pair(verdicts(a=[0.5, 3.0, -1.0])).iter_rows(named=True)
    assert row["prompt"] == MESSAGES["a"]
    assert row["chosen"] == [{"role": "assistant", "content": "yy"}]
    assert row["rejected"] == [{"role": "assistant", "content": "zzz"}]
    assert (row["chosen_id"], row["rejected_id"]) == tuple(
        candidate_id_of("a", text) for text in ("yy", "zzz")
    )
    assert row["prompt_token_ids"] == [1, ord("a")]
    assert (row["chosen_token_ids"], row["rejected_token_ids"]) == ([11, 2], [12, 2])
    assert (row["ref_chosen_logps"], row["ref_rejected_logps"]) == (-8.0, -7.0)
    assert (row["margin"], row["round"], row["annotator"]) == (4.0, 2, "judge")


def test_paid_label_is_believed_and_a_judgment_is_as_sure_as_its_margin():
    table = pair(verdicts(a=[0.0, 0.1, 0.2]), verdicts(b=[0.0, 0.1, 0.2]))
    assert table["source"].to_list() == ["gold", "self"]
    assert table["confidence"].to_list() == pytest.approx([1.0, 1 / (1 + math.exp(-0.2))])


def test_win_rates_are_over_all_responses_of_the_prompt_itself_included_as_one_half():
    plain = pair(verdicts(a=[0.0, 2.0, 0.0]), verdicts(b=[0.0, 1.0, 0.5]))
    table = pair(verdicts(a=[0.0, 2.0, 0.0]), verdicts(b=[0.0, 1.0, 0.5]), win_rates=True)
    rates = ["chosen_win_rate", "rejected_win_rate"]
    assert table.drop(rates).equals(plain)
    # Paid: (1/2 + 1 + 1) / 3; the rejected one draws with the other: (1/2 + 0 + 1/2) / 3.
    assert table.select(rates).row(0) == pytest.approx([2.5 / 3, 1 / 3])
    # Judged: σ(1) = 0.73106, σ(1/2) = 0.62246, so (1/2 + σ(1) + σ(1/2)) / 3 and
    # (1/2 + σ(-1) + σ(-1/2)) / 3.
    assert table.select(rates).row(1) == pytest.approx([0.617840, 0.382160], abs=1e-5)


def test_prompt_with_paid_labels_is_not_judged_as_well():
    own = verdicts("policy", a=[2.0, 1.0, 0.0], b=[2.0, 1.0, 0.0])
    table = pair(verdicts("human", a=[0.0, 1.0, 2.0]), own)
    assert table.select("prompt_id", "annotator").rows() == [("a", "human"), ("b", "policy")]
    tied = pair(verdicts("human", a=[1.0, 1.0, 1.0]), own)
    assert tied["prompt_id"].to_list() == ["b"]


def test_ties_and_skipped_verdicts_make_no_pair():
    table = pair(
        verdicts(
            a=[1.0, 1.0, 1.0], b=[None, 1.0, 0.0], c=[None, None, 1.0], d=[None, 1.0, 1.0],
            e=[0.0, 0.0, 1.0],
        )
    )  # fmt: skip
    assert table["prompt_id"].to_list() == ["b", "e"]
    assert table["chosen"].list.first().struct.field("content").to_list() == ["yy", "zzz"]


def test_nothing_but_ties_says_what_to_look_at():
    with pytest.raises(
        DataError, match=r"all 6 verdicts are ties, skipped or invalid.*prefopt show"
    ):
        pair(verdicts(a=[1.0, 1.0, 1.0]), verdicts(b=[None, 2.0, 2.0]))


@pytest.mark.parametrize(("keep", "kept"), [(1.0, "bcdef"), (0.6, "bdf"), (0.2, "d"), (0.01, "d")])
def test_only_the_most_confident_share_of_judgments_is_kept(keep, kept):
    margins = {"b": 3.0, "c": 1.0, "d": 5.0, "e": 2.0, "f": 4.0}
    own = verdicts(**{p: [0.0, 0.0, margin] for p, margin in margins.items()})
    table = pair(verdicts(a=[0.0, 0.0, 1e-9]), own, keep=keep)
    assert "".join(table["prompt_id"]) == "a" + kept  # gold always, and the order stays


def test_of_equally_confident_judgments_the_first_are_kept():
    own = verdicts(**{p: [0.0, 0.0, 1.0] for p in "bcdef"})
    assert "".join(pair(None, own, keep=0.4)["prompt_id"]) == "bc"


def test_rule_decides_which_pairs_are_made():
    scored = verdicts(a=[0.0, 1.0, 2.0], b=[0.0, 1.0, 1.0])
    assert pair(scored, rule="all_pairs").height == 5
    drawn = {
        pair(scored, rule="best_against_random", seed=seed)["rejected_id"][0] for seed in range(9)
    }
    assert drawn == {candidate_id_of("a", text) for text in ("x", "yy")}


def test_draws_belong_to_the_prompt():
    scored = verdicts(**{p: [0.0, 1.0, 2.0] for p in "abcdef"})
    together = pair(scored, rule="best_against_random")
    for p in "abcdef":
        alone = pair(scored.filter(prompt_id=p), rule="best_against_random")
        assert alone.equals(together.filter(prompt_id=p))


def as_text(**columns):
    """The candidates without what only a model in this house knows."""
    return CANDIDATES.with_columns(
        *(
            pl.lit(None, TABLES["candidates"].columns[name]).alias(name)
            for name in ("prompt_token_ids", "response_token_ids", "logps", "template")
        ),
        **columns,
    )


def test_without_tokens_or_logps_their_columns_are_left_out():
    given = as_text(finish_reason=pl.lit("given"))
    table = pair(verdicts(a=[0.0, 1.0, 2.0]), candidates=given, logps=None)
    assert table.columns == list(TABLES["preferences"].columns)


def test_texts_of_a_server_keep_whether_they_came_to_their_end():
    cut = pl.when(sample=0).then(pl.lit("length")).otherwise(pl.lit("stop"))
    table = pair(verdicts(a=[0.0, 1.0, 2.0]), candidates=as_text(finish_reason=cut), logps=None)
    assert check_table("preferences", table)["rejected_id"][0] == candidate_id_of("a", "x")
    assert table.select("chosen_finished", "rejected_finished").row(0) == (True, False)
    assert "chosen_token_ids" not in table.columns


def test_text_that_was_sampled_twice_is_one_response():
    twice = pl.concat([CANDIDATES, CANDIDATES.with_columns(pl.col("sample") + 3)])
    scored = verdicts(a=[0.0, 1.0, 2.0])
    assert pair(scored, candidates=twice).equals(pair(scored))


# --- comparisons and rankings -------------------------------------------------------------------


def compared(*said, p="a", annotator="judge"):
    """Verdicts on responses to one prompt: (texts in the order shown, verdict)s."""
    rows = [(p, [candidate_id_of(p, text) for text in texts], verdict) for texts, verdict in said]
    return verdicts_table(*rows, annotator=annotator)


def pairs_of(table):
    """(chosen, rejected, confidence)s."""
    texts = {candidate_id_of(p, text): text for p in MESSAGES for text in TEXTS}
    ids = table.select("chosen_id", "rejected_id", "confidence").rows()
    return [(texts[chosen], texts[rejected], sure) for chosen, rejected, sure in ids]


@pytest.mark.parametrize("order", [("x", "yy"), ("yy", "x")])
def test_a_comparison_is_a_pair_with_its_probability_as_confidence(order):
    probability = 0.8 if order[0] == "x" else 0.2
    table = pair(compared((order, Verdict.preferred(probability))))
    assert pairs_of(table) == [("x", "yy", pytest.approx(0.8))]
    assert table["source"].to_list() == ["gold"]
    assert table["margin"].to_list() == [pytest.approx(0.6)]  # P(x better) - P(yy better)


def test_of_both_orders_and_of_several_people_the_mean_counts():
    both = compared((("x", "yy"), Verdict.preferred(0.9)), (("yy", "x"), Verdict.preferred(0.3)))
    assert pairs_of(pair(both)) == [("x", "yy", pytest.approx((0.9 + 0.7) / 2))]
    people = [Verdict.preferred(1.0, by=by) for by in ("Mary", "John")]
    people += [Verdict.preferred(0.0, by="Ann"), Verdict("tie", by="Sue")]
    voted = compared(*((("x", "yy"), verdict) for verdict in people))
    assert pairs_of(pair(voted)) == [("x", "yy", pytest.approx(2.5 / 4))]


def test_who_always_picks_the_side_says_nothing():
    sided = compared((("x", "yy"), Verdict.preferred(0.9)), (("yy", "x"), Verdict.preferred(0.9)))
    with pytest.raises(DataError, match=r"all 2 verdicts are ties, .* contradict each other"):
        pair(sided)


def test_a_ranking_makes_the_pairs_of_its_comparisons():
    ranked = compared((("zzz", "x", "yy"), Verdict.ranked([3, 1, 2])))
    won = [("x", "yy"), ("x", "zzz"), ("yy", "zzz")]
    each = compared(*((texts, Verdict.preferred(1.0)) for texts in won))
    for rule in ("best_against_worst", "all_pairs"):
        assert pair(ranked, rule=rule).equals(pair(each, rule=rule))
    assert sorted(pairs_of(pair(ranked, rule="all_pairs"))) == [(*texts, 1.0) for texts in won]


def test_two_that_were_not_compared_are_as_sure_as_their_scores():
    # x wins ¾ of the time over yy, and yy as often over zzz: means ¾, ½, ¼
    chain = compared(
        (("x", "yy"), Verdict.preferred(0.75)), (("yy", "zzz"), Verdict.preferred(0.75))
    )
    assert pairs_of(pair(chain)) == [("x", "zzz", pytest.approx((1 + 0.75 - 0.25) / 2))]


def test_no_pair_goes_against_what_was_said_of_these_two():
    # zzz loses to x, and wins so clearly over yy that it is better than x in the mean.
    said = compared(
        (("x", "zzz"), Verdict.preferred(0.6)), (("x", "yy"), Verdict.preferred(0.3)),
        (("zzz", "yy"), Verdict.preferred(1.0)),
    )  # fmt: skip
    assert sorted(pairs_of(pair(said, rule="all_pairs"))) == [
        ("zzz", "yy", pytest.approx(1.0))
    ]  # yy, with a mean of 0.35, is below x with 0.45, and was said to be better than it


STATES = ["tie", "both_bad", "skipped", "invalid"]


@pytest.mark.parametrize("state", STATES)
def test_what_says_nothing_makes_no_pair_and_is_still_the_paid_label(state):
    own = verdicts("policy", a=[2.0, 1.0, 0.0], b=[2.0, 1.0, 0.0])
    table = pair(compared((("x", "yy"), Verdict(state)), annotator="human"), own)
    assert table.select("prompt_id", "annotator").rows() == [("b", "policy")]


@pytest.mark.parametrize("state", ["both_bad", "skipped", "invalid"])
def test_beside_a_verdict_what_says_nothing_changes_nothing(state):
    given = (("x", "yy"), Verdict.preferred(0.8))
    silent = (("yy", "x"), Verdict(state, by="Ann"))
    assert pair(compared(given, silent)).equals(pair(compared(given)))


def test_judgments_by_comparison_are_kept_by_their_confidence():
    sure = {"b": 0.9, "c": 0.6, "d": 0.95, "e": 0.7}
    own = pl.concat([compared((("x", "yy"), Verdict.preferred(s)), p=p) for p, s in sure.items()])
    table = pair(None, own, keep=0.5)
    assert "".join(table["prompt_id"]) == "bd"
    assert table["confidence"].to_list() == pytest.approx([0.9, 0.95])
    assert set(table["source"]) == {"self"}


def test_a_pair_with_an_empty_response_is_left_out_and_said(caplog):
    blank = pl.when(pl.col("sample") == 0).then(pl.lit(" ")).otherwise("response")
    candidates = CANDIDATES.with_columns(response=blank)
    labels = verdicts(a=[1.0, 3.0, 0.5], b=[3.0, 1.0, 2.0])  # the first is chosen for b
    (row,) = pair(labels, candidates=candidates).iter_rows(named=True)
    assert row["prompt"] == MESSAGES["a"]
    assert "1 of 2 pairs are left out: one of their responses is empty." in caplog.messages
    with pytest.raises(DataError, match=r"each of the 1 pairs is empty.*prefopt show generate"):
        pair(verdicts(b=[3.0, 1.0, 2.0]), candidates=candidates)


# --- what looks at judged responses themselves ------------------------------------------------


def long_and_short(long, short, scores):
    """Candidates of prompt a, …: a text of `long` characters and one of `short`; their verdicts."""
    names = list(MESSAGES)[: len(scores)]
    texts = {p: ("L" * long[i], "s" * short[i]) for i, p in enumerate(names)}
    candidates = pl.concat(
        CANDIDATES.filter(prompt_id=p, sample=sample).with_columns(
            candidate_id=pl.lit(candidate_id_of(p, text)), response=pl.lit(text)
        )
        for p in names
        for sample, text in enumerate(texts[p])
    )
    judged = {
        p: {candidate_id_of(p, text): s for text, s in zip(texts[p], own, strict=True)}
        for p, own in zip(names, scores, strict=True)
    }
    return candidates, scores_table(judged, "policy")


def longer(table):
    sides = (table[side].list.first().struct.field("content").str.len_chars() for side in SIDES)
    chosen, rejected = sides
    return (chosen.cast(pl.Int64) - rejected.cast(pl.Int64)).mean()


SIDES = ("chosen", "rejected")
BIASED = long_and_short([30, 40, 50, 60], [10, 10, 10, 10], [[1, 0], [3, 0], [2, 0], [9, 0]])
"""The long one leads by 1, 3, 2, 9 and is 20, 30, 40, 50 longer: it loses its lead at a penalty of
1/20, 3/30, 2/40 and 9/50 a character. The mean difference is 35 below 0.05, (-20 + 30 - 40 + 50)/4
= 5 from there to 0.1, and (-20 - 30 - 40 + 50)/4 = -10 from there to 0.18."""


def test_penalty_per_character_lowers_what_the_judge_said_of_a_response():
    candidates, judged = BIASED
    plain = pair(None, judged, None, candidates)
    table = pair(None, judged, None, candidates, length_penalty=0.06)
    assert [len(row[0]["content"]) for row in table["chosen"]] == [10, 40, 10, 60]
    # 20 · 0.06 - 1, 3 - 30 · 0.06, 40 · 0.06 - 2, 9 - 50 · 0.06
    assert table["margin"].to_list() == pytest.approx([0.2, 1.2, 0.4, 6.0])
    assert table["length_penalty"].to_list() == [0.06] * 4
    assert "length_penalty" not in plain.columns
    assert pair(None, judged, None, candidates, length_penalty=0.0).equals(plain)
    paid = pair(judged, None, None, candidates, length_penalty=0.06)
    assert paid.drop("confidence", "source").equals(plain.drop("confidence", "source"))


def test_penalty_that_is_found_makes_both_sides_equally_long():
    candidates, judged = BIASED
    table = pair(None, judged, None, candidates, length_penalty="auto")
    assert longer(table) == 5
    assert 0.0999 < table["length_penalty"][0] < 0.1  # the smaller of 5 and 10, at its end
    scaled = judged.with_columns(pl.col("scores").list.eval(pl.element() * 1e4))
    found = pair(None, scaled, None, candidates, length_penalty="auto")["length_penalty"][0]
    assert found == pytest.approx(1e4 * table["length_penalty"][0], rel=2e-3)


def test_judge_that_likes_short_responses_is_left_alone():
    candidates, judged = long_and_short([30, 40], [10, 10], [[0, 1], [1, 3]])
    table = pair(None, judged, None, candidates, length_penalty="auto")
    assert table["length_penalty"].to_list() == [0.0, 0.0]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(-3, 3)), min_size=12, max_size=24),
    st.sampled_from(["best_against_worst", "all_pairs"]),
)
def test_found_penalty_is_no_worse_than_any_of_the_published_grid(drawn, rule):
    lengths, scores = zip(*drawn, strict=True)
    half = len(drawn) // 2
    found = [
        Evidence(p, [f"{p}{i}" for i in range(at, at + 6)], list(scores[at : at + 6]))
        for p, at in zip("ab", (0, half), strict=True)
    ]
    texts = pl.DataFrame(
        {
            "candidate_id": [one for each in found for one in each.responses],
            "response": ["x" * lengths[at + i] for at in (0, half) for i in range(6)],
            "finish_reason": ["stop"] * 12,
        }
    )
    judged = Judged(found, texts.lazy(), PairingConfig())
    pairs = PairingConfig(rule=rule).member()
    by_rule = lambda _, own: pairs(own, None)  # noqa: E731

    def off(alpha):
        return abs(judged.longer(by_rule, alpha))

    grid = min(off(step / 1000) for step in range(1000))
    assert off(judged.balancing(by_rule)) <= grid + 1e-9


def test_responses_that_are_cut_off_or_of_another_length_make_no_pair():
    own = verdicts("policy", a=[3.0, 2.0, 1.0], b=[1.0, 3.0, 2.0])
    cut = pl.when(pl.col("sample") == 0, pl.col("prompt_id") == "a").then(pl.lit("length"))
    candidates = CANDIDATES.with_columns(finish_reason=cut.otherwise("finish_reason"))

    def chosen(**config):
        table = pair(None, own, candidates=candidates, **config)
        return table["chosen"].list.first().struct.field("content").to_list()

    assert chosen() == ["x", "yy"]
    assert chosen(finished=True) == ["yy", "yy"]
    assert chosen(characters=[2, 3]) == ["yy", "yy"]
    assert chosen(finished=True, fewest=3) == ["yy"]  # only prompt b has three left
    with pytest.raises(DataError, match=r"`pairing` leaves out .*`characters`"):
        chosen(characters=[3, 9])
    with pytest.raises(ValidationError, match="write the smaller number first"):
        PairingConfig(characters=[9, 3])
