"""SPIN's pairs: the labelled response against the policy's own, whatever else was labelled."""

import polars as pl
import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of
from prefopt_core.ground.tables import TABLES, check_table
from prefopt_core.pairing.against_own import pair_against_own


def said(text):
    return [{"role": "assistant", "content": text}]


def labelled(*pairs):
    """(prompt, chosen, rejected, margin)s as gold pairs, scored under the policy."""
    rows = [
        {
            "prompt_id": prompt, "prompt": [{"role": "user", "content": prompt}],
            "chosen": said(chosen), "chosen_id": candidate_id_of(prompt, chosen),
            "rejected": said(rejected), "rejected_id": candidate_id_of(prompt, rejected),
            "annotator": "gold", "source": "gold", "confidence": 1.0, "margin": margin, "round": 1,
            "prompt_token_ids": [1, ord(prompt)], "chosen_token_ids": [len(chosen), 2],
            "rejected_token_ids": [len(rejected), 2], "template": "t",
            "ref_chosen_logps": -float(len(chosen)), "ref_rejected_logps": -float(len(rejected)),
        }
        for prompt, chosen, rejected, margin in pairs
    ]  # fmt: skip
    contract = TABLES["preferences"]
    return pl.DataFrame(rows, schema_overrides={**contract.columns, **contract.optional})


def written(**responses):
    """prompt → what the policy writes to it, as candidates."""
    rows = [
        {
            "prompt_id": prompt, "candidate_id": candidate_id_of(prompt, text), "sample": sample,
            "response": text, "policy": "now", "finish_reason": "stop",
            "prompt_token_ids": [1, ord(prompt)], "response_token_ids": [10 + len(text), 2],
            "logps": -0.5 * len(text), "template": "t",
        }
        for prompt, texts in responses.items()
        for sample, text in enumerate(texts)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=TABLES["candidates"].columns)


def test_the_labelled_response_is_preferred_to_the_first_of_the_policy():
    gold = labelled(("a", "good", "bad!!", 2.0), ("b", "fine", "so-so", 1.0))
    pairs = pair_against_own(gold, written(b=["mine"], a=["own one", "unused"]), round_number=3)
    assert check_table("preferences", pairs).height == 2
    row, other = pairs.to_dicts()
    assert (row["chosen"], row["rejected"]) == (said("good"), said("own one"))
    assert (other["chosen"], other["rejected"]) == (said("fine"), said("mine"))
    assert row["rejected_id"] == candidate_id_of("a", "own one")
    assert (row["chosen_token_ids"], row["rejected_token_ids"]) == ([4, 2], [17, 2])
    assert (row["ref_chosen_logps"], row["ref_rejected_logps"]) == (-4.0, -3.5)
    assert (row["source"], row["annotator"], row["round"]) == ("self", "spin", 3)
    assert row["confidence"] == 1.0


def test_of_several_pairs_of_a_prompt_the_clearest_one_counts():
    gold = labelled(("a", "good", "bad", 1.0), ("a", "best", "bad", 3.0), ("a", "soso", "bad", 2.0))
    pairs = pair_against_own(gold, written(a=["mine"]), round_number=2)
    assert pairs["chosen"].to_list() == [said("best")]


def test_a_prompt_that_the_policy_answers_as_labelled_is_left_out():
    gold = labelled(("a", "good", "bad", 1.0), ("b", "fine", "bad", 1.0))
    own = written(a=["good", "other"], b=["mine"])
    assert pair_against_own(gold, own, round_number=2)["prompt_id"].to_list() == ["b"]
    with pytest.raises(DataError, match=r"nothing left to tell apart\. Lower `iterations`"):
        pair_against_own(gold, written(a=["good"], b=["fine"]), round_number=2)
