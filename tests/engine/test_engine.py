"""The engine's life: kept, shared, ended; and what is lost when it dies."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground import progress
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.models.loading import release_models
from prefopt_core.scoring import SCORERS
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.store.store import Store

ROOT = Path(__file__).parents[2]
SETTINGS = {"enforce_eager": True, "max_num_seqs": 64}


def engines():
    """Process ids of the engine that is kept, one a copy."""
    return [link._process.pid for engine in loading._loaded.values() for link in engine._links]


def gone(group):
    """Whether no process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_engine_is_kept_between_calls_and_scorer_and_ends_with_its_memory(write_with, model):
    responses = write_with(n=1)
    (first,) = engines()
    pairs = [(r.prompt_token_ids, r.token_ids) for row in responses for r in row]
    ScoringConfig(scorer="vllm", params=SETTINGS).member()(model, pairs)
    write_with(n=1, seed=3)
    assert engines() == [first]
    memory = int(Path(f"/proc/{first}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert memory > 2**28
    SCORERS["transformers"](model, pairs[:1])  # another model is wanted
    assert gone(first)
    assert not Path(f"/proc/{first}").exists()


def test_copies_share_the_prompts_and_write_what_one_writes(write_with, written):
    heard = []
    with progress.listening(lambda done, total: heard.append((done, total))):
        shared = write_with(n=16, data_parallel_size=2)
    assert len(engines()) == 2
    assert [[r.token_ids for r in row] for row in shared] == [
        [r.token_ids for r in row] for row in written
    ]
    assert heard[-1] == (8, 8)
    release_models()


@pytest.fixture
def stage(model, tmp_path, monkeypatch):
    """(store, run): the stage on twelve prompts in three shards; `run` passes `on_part` on."""
    from tasks.generation import generate_candidates

    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "store"))
    store = Store.open()
    policy = store.put_folder(shutil.copytree(model, tmp_path / "model"))
    rows = [
        {"prompt_id": f"p{i}", "prompt": [{"role": "user", "content": f"my lamp {i} is late."}]}
        for i in range(12)
    ]
    from prefopt_core.ground.tables import TABLES, in_shards
    from prefopt_core.store.artifacts import Artifact

    frames = in_shards(pl.DataFrame(rows, schema=TABLES["prompts"].columns), 4)
    prompts = Artifact(table="prompts", shards=[store.put_table("prompts", f) for f in frames])
    config = GenerationConfig(
        generator="vllm", n=4, params=SETTINGS | {"max_new_tokens": 24, "max_num_seqs": 4}
    )
    spec = generate_candidates.spec
    arguments = spec.bind(prompts, policy, config, 0)
    return store, lambda **options: spec.run(store, arguments, **options)


def test_killed_engine_loses_its_shard_only_and_says_what_to_lower(stage):
    store, run = stage
    shards = []

    def die(done, total):
        if len(shards) == 2 and 0 < done < total:
            os.killpg(engines()[0], signal.SIGKILL)

    with (
        progress.listening(die),
        pytest.raises(PrefoptError, match="was killed by signal 9") as raised,
    ):
        run(on_part=lambda done, total: shards.append(done))
    told = str(raised.value)
    for words in ("Finished shards are kept", "max_model_len", "gpu_memory_utilization", ".log"):
        assert words in told
    assert engines() == []
    outcome = run()
    assert (outcome.hits, outcome.parts) == (1, 3)
    assert store.read(outcome.value).height == 48
    release_models()


def test_engine_that_cannot_start_says_why(write_with):
    with pytest.raises(PrefoptError, match=r"max_model_len.*(\d+).*256") as raised:
        write_with(max_model_len=4096)
    assert "ended with exit code 1: " in str(raised.value)
    assert engines() == []


PROGRAM = """
import sys
from pathlib import Path
from prefopt_core.ground import progress
from prefopt_core.ground.ids import Prompt
from prefopt_core.models import loading
from prefopt_core.generation.vllm_offline import generate
from prefopt_core.models.vllm import EngineSettings
prompts = [Prompt(str(i), [{"role": "user", "content": f"{i} is late."}]) for i in range(4000)]
def told(done, total):
    if done:
        print(next(iter(loading._loaded.values()))._links[0]._process.pid, flush=True)
with progress.listening(told):
    eager = EngineSettings(enforce_eager=True)
    generate(prompts, Path(sys.argv[1]), 8, 0, max_new_tokens=64, engine=eager)
"""


def test_engine_does_not_outlive_who_started_it(model):
    command = [sys.executable, "-c", PROGRAM, str(model)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        engine = int(process.stdout.readline())
        process.kill()
    patience = time.monotonic() + 30
    while not gone(engine) and time.monotonic() < patience:
        time.sleep(0.1)
    assert gone(engine)
