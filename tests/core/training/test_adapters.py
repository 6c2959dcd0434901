"""Adapters that are not merged: what is kept, what goes on, and that it is the same policy."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefopt_core.export.model import export_model
from prefopt_core.generation import GENERATORS
from prefopt_core.ground.errors import ConfigError, DataError, StoreError
from prefopt_core.ground.ids import Prompt
from prefopt_core.models.adapters import ADAPTER, ADAPTER_WEIGHTS, adapter_in, note_base, weights_of
from prefopt_core.models.loading import load_model, release_models
from prefopt_core.models.start import import_model
from prefopt_core.models.tokens import load_tokenizer
from prefopt_core.scoring import SCORERS
from prefopt_core.store import maintenance
from prefopt_core.store.artifacts import Folder
from prefopt_core.store.folders import ADAPTER_BASE
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store
from prefopt_core.training import trl_dpo, worker
from prefopt_core.training.adapters import continued
from prefopt_core.training.detection import Reference
from prefopt_core.training.log import FLAGGED, STEPS
from prefopt_core.training.reading import last_hidden
from prefopt_core.training.settings import TrainingConfig

pytestmark = pytest.mark.slow

NOISE = {"loss": "noise_aware", "params": {"window": 10, "noise_share": 0.3}}
APART = {"r": 4, "alpha": 16, "dropout": 0.1, "merge": False}


def config_of(**settings):
    common = {"learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 2, "save_every": 4}
    return TrainingConfig(**{**common, "epochs": 2.0, "lora": APART, **settings})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def put(store, tmp_path):
    """Make a folder an object of the store, named by a manifest as a stage would; its path."""

    def put(folder, name):
        def copy(name):
            return shutil.copytree(folder, store.root / "work" / name)

        made = Stage(name, copy, 1, None).run(store, {"name": name}).value
        return store.open_folder(made)

    return put


@pytest.fixture
def base(start, put):
    return put(start, "load_policy")


@pytest.fixture
def train(put, make_pairs, tmp_path):
    """Train from a folder of the store; the new policy's folder there."""

    def train(start, name, **settings):
        work = tmp_path / name
        trl_dpo.train(
            make_pairs(12), start, work / "out", work / "work", config_of(**settings), seed=3
        )
        if (work / "out" / ADAPTER).exists():
            note_base(work / "out", start)
        return put(work / "out", name)

    return train


def sequences_of(pairs):
    return [
        (row["prompt_token_ids"], row[f"{side}_token_ids"])
        for side in ("chosen", "rejected")
        for row in pairs.iter_rows(named=True)
    ]


# --- what is kept -----------------------------------------------------------------------------


def test_adapters_are_kept_alone_and_export_is_what_merging_would_have_kept(
    base, train, make_pairs, tmp_path
):
    apart = train(base, "apart")
    files = {p.name: p for p in apart.iterdir()}
    assert {ADAPTER, ADAPTER_WEIGHTS, ADAPTER_BASE, "config.json", "tokenizer.json"} <= files.keys()
    assert "model.safetensors" not in files
    assert {p.suffix for p in files.values()} <= {".json", ".safetensors", ".jinja"}  # no pickle
    for name in ("config.json", "generation_config.json"):
        assert files[name].read_bytes() == (base / name).read_bytes()
    assert str(tmp_path) not in files[ADAPTER].read_text() + files[ADAPTER_BASE].read_text()
    assert weights_of(apart) == base
    adapter = adapter_in(apart)
    assert adapter.rank == 4
    assert adapter.modules == {f"{m}_proj" for m in ["q", "k", "v", "o", "gate", "up", "down"]}
    assert load_tokenizer(apart).chat_template == load_tokenizer(base).chat_template

    merged = train(base, "merged", lora=APART | {"merge": True})
    exported = export_model(apart, tmp_path / "exported")
    assert (exported / "model.safetensors").read_bytes() == (
        merged / "model.safetensors"
    ).read_bytes()
    assert {p.name for p in exported.iterdir()} == {p.name for p in merged.iterdir()} - {
        *(STEPS, FLAGGED)
    }
    assert (exported / "config.json").read_bytes() == (base / "config.json").read_bytes()
    with pytest.raises(DataError, match=r"is there already, and no export\. Name"):
        export_model(apart, exported)

    pairs = sequences_of(make_pairs(12))
    found = SCORERS["transformers"](apart, pairs)
    assert found == pytest.approx(SCORERS["transformers"](merged, pairs), abs=1e-4)
    assert np.abs(found - SCORERS["transformers"](base, pairs)).max() > 0.1
    asked = [Prompt(f"p{i}", [{"role": "user", "content": f"w{i} w9"}]) for i in range(4)]
    write = GENERATORS["transformers"]
    written, expected = (write(asked, m, 4, 0, max_new_tokens=12) for m in (apart, merged))
    assert [[r.token_ids for r in row] for row in written] == [
        [r.token_ids for r in row] for row in expected
    ]
    release_models()


def test_the_same_training_keeps_the_same_bytes(base, train):
    one, other = train(base, "one"), train(base, "other")
    assert one == other  # the name is the digest


def test_in_bfloat16_adapters_stay_in_full_precision(start, put, train, tmp_path):
    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(start, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(start).save_pretrained(half)
    apart = train(put(half, "load_policy"), "apart")
    assert {w.dtype for w in load_file(apart / ADAPTER_WEIGHTS).values()} == {torch.float32}
    model = load_model(apart)
    assert {w.dtype for n, w in model.named_parameters() if "lora" not in n} == {torch.bfloat16}
    loaded = {w.dtype for n, w in model.named_parameters() if "lora" in n}
    assert loaded == {torch.float32}
    exported = export_model(apart, tmp_path / "exported")
    assert {w.dtype for w in load_file(exported / "model.safetensors").values()} == {torch.float32}
    assert AutoModelForCausalLM.from_pretrained(exported, dtype="auto").dtype == torch.float32
    release_models()


def test_command_exports_the_newest_policy(base, train, store, tmp_path, monkeypatch, capsys):
    from flows.cli import main

    train(base, "train")
    monkeypatch.setenv("PREFOPT_STORE", str(store.root))
    assert main(["export", str(tmp_path / "policy"), "--artifact", "train"]) == 0
    assert capsys.readouterr().out.startswith(f"model in {tmp_path / 'policy'}\n")
    assert "Adapters are merged." in (tmp_path / "policy" / "README.md").read_text()
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "policy").config.hidden_size == 32
    assert main(["export", str(tmp_path / "policy"), "--artifact", "train"]) == 2
    assert "Add --overwrite" in capsys.readouterr().err


# --- what goes on -----------------------------------------------------------------------------


def test_the_next_round_goes_on_with_the_same_adapters(base, train, make_pairs, tmp_path):
    first = train(base, "first")
    still = train(first, "still", learning_rate=1e-30)
    before, after = (load_file(f / ADAPTER_WEIGHTS) for f in (first, still))
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert torch.allclose(weight, after[name], atol=1e-12)
    second = train(first, "second")
    assert weights_of(second) == base  # and not the first round's
    assert (second / ADAPTER_BASE).read_bytes() == (first / ADAPTER_BASE).read_bytes()
    pairs = sequences_of(make_pairs(12))
    scores = [SCORERS["transformers"](folder, pairs) for folder in (base, first, second)]
    margins = [np.subtract(*np.split(s, 2)).mean() for s in scores]
    assert margins[0] < margins[1] < margins[2]
    release_models()


def test_the_next_round_starts_where_its_reference_is(base, train, make_pairs, tmp_path):
    certain = APART | {"dropout": 0.0}
    first = train(base, "first", lora=certain)
    pairs = make_pairs(12)
    chosen, rejected = np.split(SCORERS["transformers"](first, sequences_of(pairs)), 2)
    pairs = pairs.with_columns(ref_chosen_logps=chosen, ref_rejected_logps=rejected)
    folder, config = tmp_path / "next", config_of(lora=certain, learning_rate=1e-30)
    figures = trl_dpo.train(pairs, first, folder / "out", folder / "work", config, seed=3)
    assert figures.steps["loss"].to_numpy() == pytest.approx(np.log(2), abs=1e-5)
    release_models()


def test_detection_compares_with_the_adapters_as_they_were(base, train, make_pairs):
    first = train(base, "first")
    model = AutoModelForCausalLM.from_pretrained(base)
    policy = continued(model, first, config_of().lora)
    trainer = trl_dpo._trainer(
        policy, make_pairs(4), first, first.parent / "work", config_of(**NOISE), 0
    )
    batch = trainer.data_collator([trainer.pairs[i] for i in range(4)])
    policy.train()
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if weight.requires_grad:
                assert ".default." in name
                weight.mul_(1.5)
    expected = last_hidden(load_model(first), batch)
    found = Reference(policy, first).hidden(batch)
    assert torch.allclose(found, expected, atol=1e-5)
    assert policy.training
    trained = {n for n, w in policy.named_parameters() if w.requires_grad}
    assert trained
    assert all(".default." in name for name in trained)
    release_models()


@pytest.mark.parametrize("round_number", [1, 2])
def test_a_killed_training_ends_with_the_same_bytes(
    base, train, make_pairs, killed, tmp_path, round_number
):
    start = base if round_number == 1 else train(base, "first")
    expected = train(start, "undisturbed", epochs=3.0, **NOISE)
    folder = tmp_path / "killed"
    config = config_of(epochs=3.0, **NOISE)
    job = worker.write_job(make_pairs(12), start, folder / "out", folder / "work", config, seed=3)
    killed(job, "step", 7)
    assert not (folder / "out").exists()
    assert (folder / "work" / "checkpoint-4" / "complete").exists()
    assert train(start, "killed", epochs=3.0, **NOISE) == expected


def test_other_adapters_than_those_that_are_there_are_an_error(base, train):
    first = train(base, "first")
    for lora in (None, APART | {"r": 8}):
        with pytest.raises(ConfigError, match=r"r, alpha and dropout of \(4, 16, 0\.1\)"):
            train(first, "other", lora=lora)


# --- the store --------------------------------------------------------------------------------


def record(store, stage):
    (manifest,) = maintenance.find(store, stage)
    assert isinstance(manifest.output, Folder)
    return manifest.output


def test_weights_stay_while_an_adapter_refers_to_them(store, base, train):
    apart = train(base, "train")
    maintenance.remove(store, "load_policy")
    (store.root / "work").mkdir(exist_ok=True)
    maintenance.collect_garbage(store)
    assert weights_of(apart) == base
    assert store.check(record(store, "train")) == ""
    maintenance.remove(store, "train")
    maintenance.collect_garbage(store)
    assert not base.exists()
    assert not apart.exists()


def test_adapter_without_its_weights_is_no_hit_and_says_what_is_missing(store, base, train):
    apart = train(base, "train")
    model = record(store, "train")
    (base / "model.safetensors").write_bytes(b"?")
    assert f"{base.name[:12]} was damaged and is now in quarantine/" in store.check(model)
    with pytest.raises(StoreError, match=f"{base.name[:12]} is gone from the store"):
        store.open_folder(model)
    with pytest.raises(StoreError, match=r"belongs to the model .*Run the same command again"):
        load_model(apart)


def test_adapter_of_others_is_no_start(base, train, tmp_path):
    apart = train(base, "apart")
    (tmp_path / "output").mkdir()
    with pytest.raises(ConfigError, match=r"has an adapter .*prefopt export FOLDER"):
        import_model(tmp_path / "output", tmp_path, 0, path=str(apart))


# --- keys -------------------------------------------------------------------------------------


def test_merging_is_not_told_to_keys_and_keeping_apart_is():
    before = config_of(lora={"r": 4}).key_part()
    assert "merge" not in before["lora"]
    assert config_of(lora={"r": 4, "merge": True}).key_part() == before
    apart = config_of(lora={"r": 4, "merge": False}).key_part()
    assert apart == before | {"lora": before["lora"] | {"merge": False}}
    assert config_of(lora=None).key_part()["lora"] is None
