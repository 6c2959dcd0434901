"""What a training leaves beside its weights: every step, and the flagged pairs by their ids."""

import json

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.scoring.table import score_preferences
from prefopt_core.training.log import FLAGGED, STEPS, read_log, write_log
from prefopt_core.training.settings import TrainingConfig
from prefopt_core.training.table import train_on

FLAGGED_PAIRS = pl.DataFrame(
    {"prompt_id": ["p"], "chosen_id": ["a"], "rejected_id": ["b"], "times": [2]}
)


def test_a_log_is_read_as_it_was_written(tmp_path):
    steps = pl.DataFrame({"step": [1, 2], "loss": [0.7, 1 / 3], "threshold": [None, -0.25]})
    write_log(tmp_path, steps, FLAGGED_PAIRS)
    found = read_log(tmp_path)
    assert_frame_equal(found[0], steps, check_exact=True)
    assert_frame_equal(found[1], FLAGGED_PAIRS)
    first = json.loads((tmp_path / STEPS).read_text().splitlines()[0])
    assert first == {"step": 1, "loss": 0.7, "threshold": None}
    assert (tmp_path / FLAGGED).read_text().count("\n") == 1


def test_what_a_model_has_no_log_of_is_unknown(tmp_path):
    assert read_log(tmp_path) == (None, None)
    steps = pl.DataFrame({"step": [1], "threshold": pl.Series([None], dtype=pl.Float64)})
    write_log(tmp_path, steps, FLAGGED_PAIRS.clear())
    found, flagged = read_log(tmp_path)
    assert found["threshold"].to_list() == [None]
    assert flagged is None


@pytest.mark.slow
def test_pairs_of_all_tables_are_flagged_by_their_own_ids(tiny_model, tmp_path, write):
    def table(name, count, source):
        rows = [
            {"prompt": f"{name} {i}?", "chosen": f"{name}: yes, {i}.", "rejected": f"No {name}!"}
            for i in range(count)
        ]
        pairs = read_preferences(write(f"{name}.jsonl", rows))
        scored = score_preferences([pairs], tiny_model, ScoringConfig())
        return scored.with_columns(source=pl.lit(source), confidence=pl.lit(1.0))

    gold, own, more = table("gold", 3, "gold"), table("own", 5, "self"), table("more", 2, "self")
    config = TrainingConfig(
        loss="noise_aware", learning_rate=1e-3, epochs=4.0, batch_size=5, micro_batch_size=5,
        params={"noise_share": 0.5, "warm_up": 0.0},
    )  # fmt: skip
    train_on([gold, own, more], tiny_model, tmp_path / "out", tmp_path / "work", config, seed=0)
    steps, flagged = read_log(tmp_path / "out")
    assert steps["step"].to_list() == list(range(1, 9))
    keys = ["prompt_id", "chosen_id", "rejected_id"]
    known = pl.concat([own, more], how="diagonal").select(keys)
    assert flagged.height > 1
    assert flagged.join(known, keys, how="anti").is_empty()
    assert flagged.select(keys).is_unique().all()
    assert flagged["times"].is_between(1, 4).all()
