"""Recorded metrics: taken for today's where all settings are what they were, and only there."""

import json

import polars as pl
import pytest

from benchmarks import recorded, results
from benchmarks.recorded import Records, stage_versions, told
from prefopt_core.experiments.grid import load_comparison
from prefopt_core.ground.tables import check_table


@pytest.fixture
def comparison():
    return load_comparison("tiny", {}, seeds=2)


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "records" / "tiny.parquet")


def metrics(cell, value=0.5):
    return pl.DataFrame(
        {
            "arm": [cell.arm], "seed": [cell.config.seed], "round": [1],
            "metric": ["win_rate"], "value": [value], "labels": [12],
        },
        schema_overrides={"round": pl.Int32},
    )  # fmt: skip


def edited(records, edit):
    """The same records with other settings."""
    rows = pl.read_parquet(records.path)
    text = [json.dumps(edit(json.loads(each))) for each in rows["settings"]]
    rows.with_columns(pl.Series("settings", text)).write_parquet(records.path)
    return Records(records.path)


def test_what_was_recorded_is_not_run_again(records, comparison):
    first, second = (comparison.of_seed(seed) for seed in (0, 1))
    assert records.missing(first) == first
    for cell in first:
        records.add(cell, metrics(cell))
    again = Records(records.path)
    assert again.missing(first) == []
    assert again.missing(second) == second
    table = again.table([*first, *second])
    assert table["arm"].sort().to_list() == sorted(comparison.arms)
    check_table("comparison", table.drop("settings", "machine", "commit", "stages"))


def test_only_what_is_not_recorded_is_run(records, comparison, monkeypatch):
    cells = [*comparison.cells()]
    for cell in cells[:-1]:
        records.add(cell, metrics(cell))
    asked = []
    monkeypatch.setattr(
        results, "results_of", lambda _, groups, workers: asked.extend(groups) or []
    )
    results.run_missing(comparison, records, workers=1)
    assert asked == [[cells[-1]]]
    records.add(cells[-1], metrics(cells[-1]))
    monkeypatch.delattr(results, "results_of")
    results.run_missing(comparison, records, workers=1)


def test_a_cell_that_was_run_again_has_its_new_figures(records, comparison):
    cell, *_ = comparison.of_seed(0)
    records.add(cell, metrics(cell, 0.25))
    records.add(cell, metrics(cell, 0.75))
    assert Records(records.path).table([cell])["value"].to_list() == [0.75]


def test_other_settings_are_another_cell(records, comparison):
    cell, *_ = comparison.of_seed(0)
    records.add(cell, metrics(cell))
    changed = load_comparison("tiny", {"training.learning_rate": 2e-5}, seeds=2)
    assert records.missing([changed.cell(cell.arm, 0)])
    assert records.table([changed.cell(cell.arm, 0)]).is_empty()


def test_a_setting_that_is_new_since_then_has_its_default(records, comparison):
    cell, *_ = comparison.of_seed(0)
    records.add(cell, metrics(cell))
    older = edited(records, lambda settings: {k: v for k, v in settings.items() if k != "replay"})
    assert older.missing([cell]) == []


@pytest.mark.parametrize("change", [{"seed_of_old": 1}, {"replay": False}])
def test_a_default_that_was_another_then_and_a_setting_that_is_no_more(records, comparison, change):
    cell, *_ = comparison.of_seed(0)
    assert cell.config.replay is not False
    records.add(cell, metrics(cell))
    assert edited(records, lambda settings: settings | change).missing([cell]) == [cell]


def test_arms_of_a_seed_are_run_on_one_kind_of_machine(records, comparison, monkeypatch):
    cells = comparison.of_seed(0)
    monkeypatch.setattr(recorded, "machine", lambda: "another")
    records.add(cells[0], metrics(cells[0]))
    monkeypatch.undo()
    assert records.missing(cells) == cells
    for cell in cells[1:]:
        records.add(cell, metrics(cell))
    assert records.missing(cells) == cells[:1]
    monkeypatch.setattr(recorded, "machine", lambda: "another")
    assert records.missing(cells) == cells[1:]
    for cell in cells[1:]:
        records.add(cell, metrics(cell))
    monkeypatch.undo()
    assert records.missing(cells) == []


def test_two_processes_record_side_by_side(records, comparison):
    one, other = comparison.of_seed(0)
    beside = Records(records.path)
    records.add(one, metrics(one))
    beside.add(other, metrics(other))
    assert Records(records.path).missing([one, other]) == []
    assert [path.name for path in records.path.parent.iterdir()] == ["tiny.parquet"]


def test_what_was_run_with_settings_of_this_machine_is_kept_nowhere(comparison):
    assert Records.of_preset("presets/tiny.yaml", {}).path == recorded.RECORDS / "tiny.parquet"
    records, (cell, *_) = (
        Records.of_preset("tiny", {"policy.params.path": "/here"}),
        comparison.of_seed(0),
    )
    records.add(cell, metrics(cell))
    assert records.table([cell]).height == 1
    assert records.path is None


def test_a_page_says_by_what_its_figures_were_made_and_what_has_changed(
    records, comparison, monkeypatch
):
    for cell in comparison.cells():
        records.add(cell, metrics(cell))
    table = records.table([*comparison.cells()])
    assert "seeds 0, 1 at commit" in told(table)
    assert "Since then" not in told(table)
    versions = stage_versions()
    monkeypatch.setattr(recorded, "stage_versions", lambda: versions | {"train": 0, "new": 1})
    assert told(table).endswith("`train` can give other results, where a run has them.")
