"""DICE's replay: a share of what a round trains on are labelled pairs."""

import polars as pl
import pytest

from prefopt_core.ground.tables import TABLES
from prefopt_core.pairing.replay import draw_replay


def pairs(*prompts, source="gold", round=1):
    rows = [
        {"prompt_id": p, "chosen_id": f"{p}+", "rejected_id": f"{p}-", "source": source}
        | {"round": round}
        for p in prompts
    ]
    return pl.DataFrame(rows, schema=TABLES["preferences"].columns)


GIVEN = [pairs(*"abcdef"), pl.concat([pairs(*"ghij"), pairs("z", source="self")])]


def drawn(own, share, seed=0, given=GIVEN):
    return draw_replay(given, own, share, seed=seed)["prompt_id"].to_list()


@pytest.mark.parametrize(("share", "count"), [(0.5, 4), (0.2, 1), (0.6, 6), (0.3, 1)])
def test_that_share_of_all_is_labelled_on_prompts_without_a_pair_of_the_round(share, count):
    own = pairs("a", "b", "x", "y", source="self")
    found = drawn(own, share)
    assert len(found) == count  # ⌊γ·4 / (1 - γ)⌋
    assert set(found) <= set("cdefghij")
    assert found == sorted(found)


def test_another_round_or_seed_draws_others():
    own = {n: pairs("x", "y", "w", "v", source="self", round=n) for n in (1, 2)}
    assert drawn(own[1], 0.5) == drawn(own[1], 0.5)
    assert drawn(own[1], 0.5) != drawn(own[2], 0.5)
    assert drawn(own[1], 0.5) != drawn(own[1], 0.5, seed=1)


def test_pairs_that_come_or_stand_elsewhere_draw_no_others():
    own = pairs("x", "y", "w", "v", source="self")
    before = set(drawn(own, 0.5))
    assert set(drawn(own, 0.5, given=GIVEN[::-1])) == before
    for more in "klmnopqrst":
        assert len(before - set(drawn(own, 0.5, given=[pairs(more), *GIVEN]))) <= 1


def test_where_there_are_too_few_all_are_taken_and_it_is_said(caplog):
    own = pairs("a", "x", "y", source="self")
    assert drawn(own, 0.9) == list("bcdefghij")
    assert "replay: 0.9 of the round's pairs would be 27 labelled ones, and there are 9" in (
        caplog.text
    )
