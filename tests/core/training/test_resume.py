import os
import pickle
import shutil
from types import SimpleNamespace

import pytest

from prefopt_core.training.resume import MARKER, CompleteMarker, latest_checkpoint


def mark(folder, step, is_first=True):
    CompleteMarker().on_save(
        SimpleNamespace(output_dir=str(folder)),
        SimpleNamespace(global_step=step, is_world_process_zero=is_first),
        None,
    )


@pytest.fixture
def checkpoint(tmp_path):
    def make(step, complete):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "global_step").mkdir(parents=True)
        (folder / "weights").write_text("…")
        (folder / "global_step" / "optimizer.pt").write_text("moments")
        if complete:
            mark(tmp_path, step)
        return folder

    return make


def test_without_checkpoints_training_starts_at_the_beginning(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "never made") is None


def test_the_newest_complete_checkpoint_is_taken_by_number_not_by_name(tmp_path, checkpoint):
    before = checkpoint(9, complete=True)
    newest = checkpoint(10, complete=True)
    checkpoint(11, complete=False)
    assert latest_checkpoint(tmp_path) == str(newest)
    # The one before stays, for the case that the newest is damaged before there is another.
    assert sorted(tmp_path.iterdir()) == [newest, before]


def test_other_files_are_left_alone(tmp_path, checkpoint):
    checkpoint(3, complete=False)
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "README.md").touch()
    assert latest_checkpoint(tmp_path) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "checkpoint-best"]


@pytest.mark.parametrize("is_first", [True, False])
def test_the_first_process_marks_a_checkpoint_after_it_is_written(tmp_path, checkpoint, is_first):
    folder = checkpoint(5, complete=False)
    mark(tmp_path, 5, is_first)
    assert (folder / MARKER).exists() == is_first


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a flipped byte": lambda folder: flip(folder / "weights"),
    "a flipped byte in the marker": lambda folder: flip(folder / MARKER),
    "a truncated file": lambda folder: os.truncate(folder / "weights", 1),
    "an emptied marker": lambda folder: os.truncate(folder / MARKER, 0),
    "no optimiser": lambda folder: shutil.rmtree(folder / "global_step"),
    "a pickle too many": lambda folder: (folder / "scaler.pt").write_bytes(pickle.dumps(1)),
    "a foreign optimiser": lambda folder: (folder / "global_step" / "optimizer.pt").write_text("x"),
    "a loop of links": lambda folder: (
        (folder / "weights").unlink(),
        (folder / "weights").symlink_to("weights"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_deleted_for_the_one_before_and_it_is_said(
    tmp_path, checkpoint, caplog, damage
):
    before, newest = checkpoint(9, complete=True), checkpoint(10, complete=True)
    damage(newest)
    assert latest_checkpoint(tmp_path) == str(before)
    assert not newest.exists()
    assert "checkpoint-10 of an unfinished training was damaged" in caplog.text
    assert "goes on from checkpoint-9" in caplog.text
    damage(before)
    assert latest_checkpoint(tmp_path) is None
    assert "goes on from its start" in caplog.text


def test_what_lies_in_the_place_of_a_checkpoint_is_cleared_away(tmp_path, checkpoint):
    elsewhere = tmp_path / "elsewhere"
    checkpoint(3, complete=True).rename(elsewhere)
    flip(elsewhere / "weights")
    (tmp_path / "checkpoint-3").symlink_to(elsewhere)
    (tmp_path / "checkpoint-4").symlink_to("checkpoint-4")
    (tmp_path / "checkpoint-5").write_text("a file")
    assert latest_checkpoint(tmp_path) is None
    assert [*tmp_path.iterdir()] == [elsewhere]
    assert (elsewhere / "weights").exists()
