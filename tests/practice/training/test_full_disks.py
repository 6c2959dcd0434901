"""Disks that are full.

What training leaves when it cannot write, and that it goes on from there.
"""

import resource
from contextlib import contextmanager

import pytest
import torch

from prefopt_core.ground.errors import StoreError
from prefopt_core.training import trl_dpo
from prefopt_core.training.settings import TrainingConfig

pytestmark = pytest.mark.slow  # they train

CONFIG = TrainingConfig(
    learning_rate=1e-2, batch_size=4, micro_batch_size=2, epochs=4.0, save_every=3
)


@contextmanager
def files_up_to(size):
    """No file may become larger: what a disk that is full does to the next one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.case(
    "The disk is full when the first checkpoint is written",
    reports="SWivid/F5-TTS#458",
    before="SafetensorError or RuntimeError of torch (“unexpected pos”), with a traceback",
    expected="refused: Cannot write to work (… MiB free): a file may not be as large there. …",
)
def test_at_a_checkpoint(tmp_path, make_model, make_pairs):
    start = make_model()
    pairs = make_pairs(start)
    try:
        with files_up_to(50_000):
            trl_dpo.train(pairs, start, tmp_path / "out", tmp_path / "work", CONFIG, seed=3)
    except StoreError as error:
        free = str(error).partition("(")[2].partition(" MiB")[0]
        raise StoreError(str(error).replace(free, "…")) from error


@pytest.mark.case(
    "The disk is full amid the second checkpoint; later there is room",
    reports="ultralytics/ultralytics#5793",
    before="an error of torch, with a traceback; then as if nothing had happened",
    expected="goes on from checkpoint-3 to the same policy",
)
def test_half_a_checkpoint_is_not_used(tmp_path, make_model, make_pairs, monkeypatch):
    start = make_model()
    pairs = make_pairs(start)

    def train(name):
        out, work = tmp_path / f"out-{name}", tmp_path / f"work-{name}"
        trl_dpo.train(pairs, start, out, work, CONFIG, seed=3)
        return (out / "model.safetensors").read_bytes()

    undisturbed, save = train("undisturbed"), torch.save

    def full(content, file, *rest, **more):
        save(content, file, *rest, **more)
        if "checkpoint-6" in str(file):
            with open(file, "r+b") as half:
                half.truncate(100)
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StoreError, match="the disk is full"):
        train("full")
    monkeypatch.undo()
    assert (tmp_path / "work-full" / "checkpoint-6").is_dir()
    assert train("full") == undisturbed
    return "goes on from checkpoint-3 to the same policy"
