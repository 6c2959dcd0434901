"""Agreement on recorded verdicts of people and judges, counted here in another way.

The files lie in ../shared/data of the checkout, where there is one; they are not ours to ship.
"""

from pathlib import Path

import polars as pl
import pytest

from benchmarks.agreement.__main__ import MARKER, of_judges, of_people
from benchmarks.agreement.figures import joined, right_in_one_order
from benchmarks.agreement.recorded import GOLD, judges, people
from prefopt_core.labels.aggregation import aggregate
from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.honesty import honesty

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not (DATA / "judge_llmbar.parquet").exists(),
    reason="recorded verdicts are not in ../shared/data of this checkout",
)


def test_the_majority_of_three_people_is_that_of_the_data():
    pairs = pl.read_parquet(DATA / "pairs_pandalm.parquet")
    verdicts, _ = people(DATA)
    found = {
        (row["prompt_id"], row["first"], row["second"]): row["said"]
        for row in aggregate(comparisons(verdicts)).iter_rows(named=True)
    }
    assert len(found) == pairs.height
    for row in pairs.iter_rows(named=True):
        sides = [f"{row['prompt_id']}/{row[model]}" for model in ("model_a", "model_b")]
        said = {0: "tie", 1: sides[0], 2: sides[1]}[row["majority"]]
        first, second = sorted(sides)
        expected = {first: "first", second: "second", "tie": "tie"}[said]
        assert found[row["prompt_id"], first, second] == expected


def test_judges_are_right_as_often_as_the_authors_winners_are():
    recorded = pl.read_parquet(DATA / "judge_llmbar.parquet")
    verdicts, texts = judges(DATA)
    flips = {own.rater: own.flips for own in honesty(verdicts, texts)}
    for (judge, style), own in recorded.group_by("judge", "style"):
        winners = pl.concat([own["winner"], own["winner_swapped"]])
        labels = pl.concat([own["label"], own["label"]])
        right = right_in_one_order(verdicts, f"{judge} {style}")
        assert right.value == pytest.approx((winners == labels).mean())
        assert right.n == winners.len() - winners.null_count()
        both = own.drop_nulls(["winner", "winner_swapped"])
        turned = (both["winner"] != both["winner_swapped"]).mean()
        assert flips[f"{judge} {style}"].value == pytest.approx(turned)


def test_judges_who_share_a_habit_are_worse_together_than_the_best_alone():
    verdicts, _ = judges(DATA)
    names = sorted(set(verdicts["annotator"]) - {GOLD})
    best = joined(verdicts, ["GPT-4 Vanilla"], "majority").right
    for method in ("majority", "dawid_skene"):
        assert joined(verdicts, names, method).right.high < best.low
    assert joined(verdicts, names, "dawid_skene").sure > 0.9


@pytest.mark.slow
def test_the_page_has_the_figures_of_today(tmp_path):
    page = (ROOT / "docs" / "agreement.md").read_text(encoding="utf-8")
    sections = [*of_people(DATA), *of_judges(DATA, tmp_path / "agreement-judges.png")]
    assert page.partition(MARKER)[2].strip() == "\n\n".join(sections).strip()
