"""What an engine's end is told as, without an engine; the real one is in tests/engine."""

import sys
from pathlib import Path

import pytest

from prefopt_core.ground.errors import ConfigError, MissingExtraError, PrefoptError
from prefopt_core.models.vllm import _places, engine_for
from prefopt_core.models.vllm.link import cause
from prefopt_core.models.vllm.settings import EngineSettings

SETTINGS = EngineSettings(
    dtype="float32",
    python=None,
    max_model_len=None,
    max_num_seqs=None,
    max_num_batched_tokens=None,
    gpu_memory_utilization=0.9,
    tensor_parallel_size=1,
    data_parallel_size=1,
    enforce_eager=False,
)


def started(tiny_model, python):
    return engine_for(tiny_model, SETTINGS.__class__(**vars(SETTINGS) | {"python": str(python)}))


def test_interpreter_without_vllm_is_told_what_to_install(tiny_model, tmp_path):
    # this interpreter, without what is installed beside it
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(MissingExtraError, match="No module named 'vllm'") as raised:
        started(tiny_model, bare)
    assert "ENV/bin/pip install vllm" in str(raised.value)
    assert "generation.params.python" in str(raised.value)


def test_interpreter_that_is_not_there_is_told(tiny_model, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"There is no interpreter '.*nowhere'.*params\.python"):
        started(tiny_model, tmp_path / "nowhere")
    monkeypatch.setenv("PREFOPT_VLLM_PYTHON", "no-such-python")
    with pytest.raises(ConfigError, match="There is no interpreter 'no-such-python'"):
        engine_for(tiny_model, SETTINGS)


def test_something_else_than_an_interpreter_is_told(tiny_model):
    with pytest.raises(PrefoptError, match=r"ended with exit code 0: it said nothing") as raised:
        started(tiny_model, "/bin/true")
    log = Path(str(raised.value).rpartition(" ")[2])
    assert log.read_text() == ""
    log.unlink()


def test_engine_that_is_killed_while_it_answers_is_told_as_killed(tiny_model, tmp_path):
    engine = tmp_path / "python"
    engine.write_text("#!/bin/sh\nprintf '{\"read'\nkill -9 $$\n")
    engine.chmod(0o755)
    with pytest.raises(PrefoptError, match=r"was killed by signal 9 (.|\n)*lower `max_model_len`"):
        started(tiny_model, engine)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("(pid=1) ERROR torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB\nRuntimeError: "
         "Engine core initialization failed. See root cause above.",
         "torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB"),
        ("ValueError: first\nValueError: second\nvllm.v1.engine.exceptions.EngineDeadError: dead",
         "ValueError: second"),
        ("a\nb\n\nterminate called\nAborted\n", "b / terminate called / Aborted"),
        ("", "it said nothing."),
    ],
)  # fmt: skip
def test_cause_is_the_error_and_not_what_follows_from_it(log, expected):
    assert cause(log) == expected


def test_copies_get_gpus_of_their_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-a,7")
    assert _places(2, 2, sys.executable) == [
        {"CUDA_VISIBLE_DEVICES": "4,5"},
        {"CUDA_VISIBLE_DEVICES": "GPU-a,7"},
    ]
    assert _places(2, 1, sys.executable) == [{}]  # all of them are seen, as without us
    with pytest.raises(ConfigError, match=r"3 copies on 2 GPUs each need 6, and there are 4"):
        _places(2, 3, sys.executable)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert _places(1, 2, sys.executable) == [{}, {}]
