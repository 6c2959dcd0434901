"""CREAM's consistency of two judges: Kendall's τ of their rankings, from 0 to 1."""

import polars as pl
import pytest

from prefopt_core.ground.tables import TABLES
from prefopt_core.pairing.consistency import consistency, with_consistency
from tests.verdicts import scores_table


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ([10.0, 11.0, 40.0, 90.0], 1.0),  # another scale, the same order
        ([0.4, 0.3, 0.2, 0.1], 0.0),
        ([1.0, 3.0, 2.0, 4.0], 5 / 6),  # of six pairs one is the other way round
        ([2.0, 1.0, 4.0, 3.0], 4 / 6),
        ([5.0, 5.0, 5.0, 5.0], None),
    ],
)
def test_it_is_the_share_of_pairs_in_the_same_order(earlier, expected):
    found = consistency([1.0, 2.0, 3.0, 4.0], earlier)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_pairs_that_were_judged_have_that_of_their_prompt():
    now = scores_table({"p": {"a": 1.0, "b": 2.0, "c": 3.0}, "q": {"d": 1.0, "e": 2.0}})
    before = scores_table({"p": {"c": 9.0, "a": 1.0, "b": 5.0, "x": 0.0}, "r": {"f": 1.0}})
    rows = [("p", "self"), ("p", "gold"), ("q", "self")]
    pairs = pl.DataFrame(
        [
            {"prompt_id": p, "source": source, "chosen_id": str(n), "rejected_id": "-"}
            for n, (p, source) in enumerate(rows)
        ],
        schema=TABLES["preferences"].columns,
    )
    table = with_consistency(pairs, now, before)
    assert table["consistency"].to_list() == [1.0, None, None]  # nothing was said of q before
    assert table.drop("consistency").equals(pairs)
