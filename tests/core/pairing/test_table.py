"""Verdicts to pairs: paid labels first, then the most confident of the policy's own."""

import math

import polars as pl
import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of
from prefopt_core.ground.tables import TABLES, check_table
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.pairing.table import pair_responses
from tests.verdicts import scores_table

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
        labels=labels, judgments=judgments, candidates=candidates, prompts=PROMPTS,
        logps=logps, config=PairingConfig(**config), round_number=2, seed=seed,
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
