"""Labelled pairs that are held out: a share of prompts, drawn by ids, with all their pairs."""

import polars as pl
import pytest

from prefopt_core.pairing.holding_out import hold_out


def pairs(prompts, source="gold", each=1):
    ids = [prompt for prompt in prompts for _ in range(each)]
    chosen = [f"{prompt}-{n}" for n, prompt in enumerate(ids)]
    return pl.DataFrame(
        {"prompt_id": ids, "chosen_id": chosen, "source": [source] * len(ids)},
        schema=dict.fromkeys(("prompt_id", "chosen_id", "source"), pl.String),
    )


def both(table, share=0.25, seed=0):
    return [hold_out(table, share, part, seed=seed) for part in ("train", "held out")]


@pytest.mark.parametrize(
    ("labelled", "share", "held"),
    [(8, 0.25, 2), (10, 0.25, 3), (2, 0.25, 1), (2, 0.9, 1), (4, 0.9, 3), (1, 0.5, 0), (0, 0.5, 0)],
)
def test_a_share_of_the_labelled_prompts_is_held_out(labelled, share, held):
    table = pairs([f"p{n}" for n in range(labelled)])
    train, out = both(table, share)
    assert (train.height, out.height) == (labelled - held, held)


def test_each_pair_is_in_one_part_and_a_prompt_in_one_with_all_its_pairs():
    gold, own = pairs([f"p{n}" for n in range(9)], each=3), pairs("abcdef", "self")
    table = pl.concat([gold, own])
    train, out = both(table)
    assert pl.concat([train, out]).sort(table.columns).equals(table.sort(table.columns))
    assert not set(train["prompt_id"]) & set(out["prompt_id"])
    assert set(out["source"]) == {"gold"}


def test_the_draw_is_of_the_seed_and_the_ids_alone():
    ids = [f"p{n}" for n in range(40)]
    _, out = both(pairs(ids))
    _, turned = both(pairs(ids[::-1]))
    _, other = both(pairs(ids), seed=1)
    assert set(out["prompt_id"]) == set(turned["prompt_id"]) != set(other["prompt_id"])
    assert out["prompt_id"].to_list() == [one for one in ids if one in set(out["prompt_id"])]
