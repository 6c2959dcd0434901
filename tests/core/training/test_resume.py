from types import SimpleNamespace

import pytest

from prefopt_core.training.resume import MARKER, CompleteMarker, latest_checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    def make(step, complete):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_text("…")
        if complete:
            (folder / MARKER).touch()
        return folder

    return make


def test_without_checkpoints_training_starts_at_the_beginning(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "never made") is None


def test_the_newest_complete_checkpoint_is_taken_by_number_not_by_name(tmp_path, checkpoint):
    checkpoint(9, complete=True)
    newest = checkpoint(10, complete=True)
    checkpoint(11, complete=False)
    assert latest_checkpoint(tmp_path) == str(newest)
    # Half-deleted or half-written ones could be mistaken for whole ones later.
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-10"]


def test_other_files_are_left_alone(tmp_path, checkpoint):
    checkpoint(3, complete=False)
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "README.md").touch()
    assert latest_checkpoint(tmp_path) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "checkpoint-best"]


@pytest.mark.parametrize("is_first", [True, False])
def test_the_first_process_marks_a_checkpoint_after_it_is_written(tmp_path, checkpoint, is_first):
    folder = checkpoint(5, complete=False)
    CompleteMarker().on_save(
        SimpleNamespace(output_dir=str(tmp_path)),
        SimpleNamespace(global_step=5, is_world_process_zero=is_first),
        None,
    )
    assert (folder / MARKER).exists() == is_first
