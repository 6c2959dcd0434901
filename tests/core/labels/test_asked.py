"""Bundles of tables: which of their shards a page reads."""

import pytest

from prefopt_core.labels.asked import Proposal, first_shards
from prefopt_core.store.artifacts import Artifact, Shard


def table(name, *rows):
    shards = (Shard(sha256=f"{at:064x}", size=1, rows=count) for at, count in enumerate(rows))
    return Artifact(table=name, shards=tuple(shards))


def proposal(prompts=(2, 2, 2)):
    candidates = table("candidates", 8, 8, 8)
    return Proposal(table("selections", 4, 4, 4), candidates, table("prompts", *prompts))


@pytest.mark.parametrize(("most", "parts"), [(1, 1), (8, 1), (9, 2), (16, 2)])
def test_a_large_round_is_described_by_its_first_whole_shards(most, parts):
    seen, (told,) = first_shards(proposal(), most)
    assert (seen.candidates.parts, seen.selections.parts, seen.prompts.parts) == (parts,) * 3
    assert f"its first {8 * parts} of 24 responses" in told


@pytest.mark.parametrize("given", [(proposal(), 24), (proposal(prompts=(6,)), 8)])
def test_a_small_round_and_one_whose_tables_are_cut_apart_are_described_whole(given):
    assert first_shards(*given) == (given[0], [])
