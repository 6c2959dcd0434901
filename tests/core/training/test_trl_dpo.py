import json
import os
import socket
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefopt_core.ground.errors import ConfigError, DataError, PrefoptError
from prefopt_core.ground.progress import listening
from prefopt_core.training import trl_dpo, worker
from prefopt_core.training.fidelity import SAVED_METRICS
from prefopt_core.training.log import steps_of
from prefopt_core.training.momentum import accelerate
from prefopt_core.training.settings import LaunchConfig, LoraConfig, TrainingConfig

NOISE = {"loss": "noise_aware", "params": {"window": 10, "noise_share": 0.3}}
GLOO = Path(__file__).parent / "gloo"


def assert_equal(one, other):
    """Both figures of two trainings, to the last bit."""
    assert_frame_equal(one.steps, other.steps, check_exact=True)
    assert_frame_equal(one.flagged, other.flagged)


def config_of(**settings):
    common = {"learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 2, "save_every": 4}
    return TrainingConfig(**{**common, "epochs": 3.0, **settings})


@pytest.fixture
def run(start, tmp_path):
    def train(pairs, name="run", start=start, **settings):
        folder = tmp_path / name
        figures = trl_dpo.train(
            pairs, start, folder / "out", folder / "work", config_of(**settings), seed=3
        )
        return folder / "out", figures

    return train


@pytest.mark.slow
def test_training_prefers_the_chosen_responses(run, make_pairs):
    seen, logged = [], []
    with listening(lambda *progress: seen.append(progress), logged.append):
        out, figures = run(make_pairs(12))
    steps = figures.steps
    assert_frame_equal(steps_of(logged), steps.drop(SAVED_METRICS))
    assert steps["step"].to_list() == list(range(1, 10))
    assert steps["loss"][0] == pytest.approx(np.log(2), abs=1e-4)
    assert steps["loss"][-1] < steps["loss"][0]
    assert steps["reward_margin"][-1] > 0
    shift = (steps["chosen_shift"] - steps["rejected_shift"]).to_numpy()
    assert config_of().beta * shift == pytest.approx(steps["reward_margin"].to_numpy())
    assert steps["flagged"].to_list() == [0.0] * 9
    assert steps["threshold"].null_count() == 9
    assert figures.flagged.is_empty()
    assert seen == [(step, 9) for step in range(10)]
    assert {p.suffix for p in out.iterdir()} <= {".json", ".safetensors", ".jinja"}  # no pickle


def test_the_result_is_a_model_folder_like_the_one_it_started_from(run, start, make_pairs):
    out, _ = run(make_pairs(4), epochs=1.0)
    model, before = (AutoModelForCausalLM.from_pretrained(f, dtype="auto") for f in (out, start))
    assert (out / "config.json").read_bytes() == (start / "config.json").read_bytes()
    assert model.generation_config.to_dict() == before.generation_config.to_dict()
    tokenizer, old = (AutoTokenizer.from_pretrained(f) for f in (out, start))
    assert tokenizer.get_vocab() == old.get_vocab()
    assert tokenizer.chat_template == old.chat_template


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "kept"),
    [({}, torch.float32), ({"save_dtype": "start"}, torch.bfloat16)],
    ids=["float32", "start"],
)
def test_weights_are_trained_in_full_and_saved_as_asked(
    run, start, tmp_path, make_pairs, settings, kept
):
    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(start, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(start).save_pretrained(half)
    out, _ = run(make_pairs(12), start=half, learning_rate=1e-3, **settings)
    weights, before = load_file(out / "model.safetensors"), load_file(half / "model.safetensors")
    assert {w.dtype for w in weights.values()} == {kept}
    assert AutoModelForCausalLM.from_pretrained(out, dtype="auto").dtype == kept
    inside = load_file(out.parent / "work" / "checkpoint-9" / "model.safetensors")
    assert {w.dtype for w in inside.values()} == {torch.float32}
    assert any(not torch.equal(weights[k], before[k].to(kept)) for k in weights)


@pytest.mark.slow
def test_adapters_are_merged_into_a_plain_model(run, start, make_pairs):
    lora = LoraConfig(r=4, dropout=0.1)
    out, _ = run(make_pairs(12), **NOISE, lora=lora)
    again, _ = run(make_pairs(12), name="again", **NOISE, lora=lora)
    weights, before = load_file(out / "model.safetensors"), load_file(start / "model.safetensors")
    assert weights.keys() == before.keys()
    changed = {k for k in weights if not torch.equal(weights[k], before[k])}
    assert changed == {k for k in weights if "_proj" in k}
    assert not (out / "adapter_config.json").exists()
    assert (again / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    out, _ = run(make_pairs(12), name="whole", **NOISE, lora=LoraConfig(r=4, dropout=0.0))
    assert (again / "model.safetensors").read_bytes() != (out / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_only_self_made_labels_are_doubted(run, make_pairs):
    gold, own = make_pairs(8, seed=1, source="gold"), make_pairs(8, seed=2)
    mild = {"params": {**NOISE["params"], "alpha": 0.4}}
    _, mixed = run(pl.concat([gold, own]), "mixed", **{**NOISE, **mild})
    steps = mixed.steps
    warm = steps["step"] > 0.2 * steps.height + 1  # step n looks back on n - 1
    assert steps["threshold"].is_not_null().to_list() == warm.to_list()
    assert steps["flagged"].is_between(0, 1).all()
    assert set(steps.filter(~warm)["flagged"]) == {0.0}
    assert steps["flagged"].max() > 0
    assert mixed.flagged["row"].is_between(8, 15).all()  # those behind the gold ones
    assert mixed.flagged["row"].is_unique().all()
    assert mixed.flagged["times"].is_between(1, 3).all()  # once an epoch at most
    out, _ = run(gold, "gold", **{**NOISE, **mild})
    plain, figures = run(gold, "plain")
    assert (out / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    steps = figures.steps
    assert steps["flagged"].null_count() == len(steps)  # nothing could be flagged


@pytest.mark.slow
def test_ssapo_reports_as_flagged_what_its_follower_moved(run, make_pairs):
    sure = [0.55, 0.9, 0.6, 0.8, 0.7, 0.95, 0.65, 1.0]
    pairs = pl.concat([make_pairs(6), make_pairs(2, seed=1, source="gold")])
    pairs = pairs.with_columns(confidence=pl.Series(sure))
    # ε·N = 0.7 · 6 = 4.2, from which 1.8 is taken for row 0, 2.0 for row 2 and the rest for row 4.
    _, figures = run(pairs, epochs=1.0, loss="ssapo", params={"radius": 0.7})
    assert figures.flagged.rows() == [(0, 1), (2, 1), (4, 1)]
    assert figures.steps["flagged"].mean() == pytest.approx(0.5, abs=0.1)  # 3 of 6 doubtful pairs


@pytest.mark.slow
def test_sppo_lifts_the_chosen_response_alone_if_the_rejected_one_wins_half_of_the_time(
    run, make_pairs
):
    rates = {"chosen_win_rate": 0.9, "rejected_win_rate": 0.5}
    pairs = make_pairs(8).with_columns(pl.lit(rate).alias(name) for name, rate in rates.items())
    _, figures = run(pairs, loss="sppo", epochs=10.0)  # asks for (0.9 - 0.5) / 0.1 = 4 nats, and 0
    last = figures.steps.row(-1, named=True)
    assert last["chosen_shift"] == pytest.approx(4, abs=1.5)
    assert last["rejected_shift"] == pytest.approx(0, abs=1.5)


@pytest.mark.slow
def test_a_finished_training_is_not_repeated(run, make_pairs):
    out, figures = run(make_pairs(8))
    weights = (out / "model.safetensors").read_bytes()
    seen = []
    with listening(lambda *progress: seen.append(progress)):
        _, again = run(make_pairs(8))
    assert seen == [(6, 6)]
    assert_equal(again, figures)
    assert (out / "model.safetensors").read_bytes() == weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "settings"),
    [
        ("step", {**NOISE, "lora": LoraConfig(r=4, dropout=0.1)}),
        ("save", {"loss": "noise_aware", "params": {"threshold": "quantile"}}),
    ],
)
def test_a_killed_training_ends_with_the_same_bits(
    run, start, make_pairs, killed, tmp_path, moment, settings
):
    pairs = make_pairs(26)
    expected, figures = run(pairs, "undisturbed", **settings)
    folder = tmp_path / "killed"
    number = int(np.random.default_rng().integers(5, 21)) if moment == "step" else 12
    job = worker.write_job(
        pairs, start, folder / "out", folder / "work", config_of(**settings), seed=3
    )
    killed(job, moment, number)
    assert not (folder / "out").exists()
    seen = []
    with listening(lambda done, _: seen.append(done)):
        out, resumed = run(pairs, "killed", **settings)
    assert seen[0] == (number - 1) // 4 * 4, f"killed at {moment} {number}"
    assert (out / "model.safetensors").read_bytes() == (
        expected / "model.safetensors"
    ).read_bytes(), f"killed at {moment} {number}"
    assert figures.flagged.height > 1
    assert_equal(resumed, figures)


@pytest.mark.slow
@pytest.mark.parametrize("gone", [False, True])
def test_a_training_whose_last_checkpoint_is_damaged_ends_with_the_same_bits(
    run, start, make_pairs, killed, tmp_path, gone
):
    pairs, folder = make_pairs(26), tmp_path / "killed"
    expected, figures = run(pairs, "undisturbed")
    job = worker.write_job(pairs, start, folder / "out", folder / "work", config_of(), seed=3)
    killed(job, "step", 10)
    optimizer = folder / "work" / "checkpoint-8" / "optimizer.pt"
    state = torch.load(optimizer, weights_only=True)
    state["state"][0]["exp_avg_sq"] *= 100  # loads as well as what was saved
    torch.save(state, optimizer)
    if gone:
        optimizer.unlink()
    seen = []
    with listening(lambda done, _: seen.append(done)):
        out, resumed = run(pairs, "killed")
    assert seen[0] == 4
    weights = (out / "model.safetensors").read_bytes()
    assert weights == (expected / "model.safetensors").read_bytes()
    assert_equal(resumed, figures)


def processes_in(work):
    """How many processes wrote the checkpoints: each saves the state of its own random numbers."""
    return len([*(work / "checkpoint-4").glob("rng_state*.pth")])


@pytest.fixture
def one_and_two(start, tmp_path, make_pairs):
    """Train in one process and in two: the figures of both, and their folders."""

    def train(launched, doubtful=8, **settings):
        pairs = make_pairs(8)
        others = pairs[doubtful:].with_columns(source=pl.lit("gold"))
        pairs = pl.concat([pairs[:doubtful], others])
        figures, folders = [], []
        for processes, launch in ((1, {}), (2, {"processes": 2, **launched})):
            folders.append(tmp_path / f"{processes}")
            config = config_of(**{**NOISE, **settings}, launch=launch, epochs=2.0)
            out, work = folders[-1] / "out", folders[-1] / "work"
            figures.append(worker.train_in_processes(pairs, start, out, work, config, seed=3))
            assert processes_in(work) == processes
        return figures, folders

    return train


def assert_alike(one, two):
    """Two trainings, but for the order in which numbers are added."""
    assert one.steps.schema == two.steps.schema
    for name in ("loss", "grad_norm", "reward_margin", "chosen_logps", "chosen_shift"):
        assert two.steps[name].to_list() == pytest.approx(one.steps[name].to_list(), abs=1e-3)
    assert_frame_equal(one.flagged, two.flagged)


@pytest.mark.slow
def test_two_processes_train_as_one_does(one_and_two):
    figures, folders = one_and_two({})
    assert_alike(*figures)
    for own in figures:  # the pairs of all processes are counted, each one once
        share = own.steps["flagged"].sum() * config_of().batch_size
        assert own.flagged["times"].sum() == pytest.approx(share)
        assert own.flagged["row"].is_between(0, 7).all()
    assert figures[1].flagged.height > 0
    one, two = (load_file(folder / "out" / "model.safetensors") for folder in folders)
    for name, weight in one.items():
        assert torch.allclose(weight, two[name], atol=1e-3), name


@pytest.mark.slow
def test_launchers_that_meet_train_as_one_process_does(one_and_two, tmp_path):
    twice = tmp_path / "twice"  # what starts one on each machine
    twice.write_text('#!/bin/sh\n"$@" & "$@" & wait\n')
    twice.chmod(0o700)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    launched = {"machines": 2, "address": address, "starter": [str(twice)]}
    assert_alike(*one_and_two(launched)[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "file"),
    [({}, "model.safetensors"), ({"lora": {"r": 4, "merge": False}}, "adapter_model.safetensors")],
    ids=["all weights", "LoRA"],
)
def test_processes_that_share_a_model_train_as_one_does(one_and_two, monkeypatch, settings, file):
    monkeypatch.setenv("PYTHONPATH", f"{GLOO}:{os.environ.get('PYTHONPATH', '')}")
    figures, folders = one_and_two({"strategy": "fsdp"}, **settings)
    parts = [*(folders[1] / "work" / "checkpoint-4").rglob("*.distcp")]
    assert len(parts) == 4  # of two processes, weights and optimiser
    assert_alike(*figures)
    assert figures[1].flagged.height > 0
    one, two = (load_file(folder / "out" / file) for folder in folders)
    assert one.keys() == two.keys()
    for name, weight in one.items():
        assert torch.allclose(weight, two[name], atol=1e-3), name


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"lora": {"r": 4}}], ids=["all weights", "LoRA"])
def test_momentum_goes_on_from_what_processes_that_share_a_model_wrote(
    one_and_two, start, tmp_path, monkeypatch, settings
):
    monkeypatch.setenv("PYTHONPATH", f"{GLOO}:{os.environ.get('PYTHONPATH', '')}")
    _, folders = one_and_two({"strategy": "fsdp"}, **settings)
    beyond = (
        accelerate(folder / "out", start, tmp_path / f"{folder.name}-beyond", momentum=0.5)
        for folder in folders
    )
    one, two = (load_file(folder / "model.safetensors") for folder in beyond)
    trained = load_file(folders[1] / "out" / "model.safetensors")
    assert any(not torch.equal(weight, trained[name]) for name, weight in two.items())
    for name, weight in one.items():
        assert torch.allclose(weight, two[name], atol=1e-3), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "threshold"),
    [({}, "quantile"), ({"lora": {"r": 4}}, "running")],
    ids=["all weights, quantile", "LoRA, running"],
)
def test_processes_that_share_a_model_need_not_doubt_alike(
    one_and_two, monkeypatch, settings, threshold
):
    monkeypatch.setenv("PYTHONPATH", f"{GLOO}:{os.environ.get('PYTHONPATH', '')}")
    noise = {**NOISE, "params": NOISE["params"] | {"threshold": threshold, "warm_up": 0.0}}
    figures, _ = one_and_two({"strategy": "fsdp"}, doubtful=5, **noise, **settings)
    if threshold == "running":
        assert_alike(*figures)
    else:  # τ is the margin of one of the pairs, which the last bit flags or not
        one, two = (own.steps["threshold"][0] for own in figures)
        assert two == pytest.approx(one, abs=1e-3)


@pytest.mark.slow
def test_what_ends_a_process_of_several_is_told_in_lines(start, tmp_path, make_pairs, capfd):
    pairs = make_pairs(4).with_columns(ref_chosen_logps=pl.lit(None, pl.Float64))
    config = config_of(processes=2)
    with pytest.raises(PrefoptError, match="Training on 2 processes ended with exit code 1"):
        worker.train_in_processes(pairs, start, tmp_path / "o", tmp_path / "w", config, seed=3)
    said = capfd.readouterr().err
    assert "prefopt: Of 4 pairs, 4 lack a value" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ref_chosen_logps": pl.lit(None, pl.Float64)}, r"Of 4 pairs, 4 lack a value"),
        ({"ref_rejected_logps": pl.lit(float("nan"))}, r"4 have a reference log-probability"),
    ],
)
def test_incomplete_pairs_are_named(run, make_pairs, change, message):
    with pytest.raises(DataError, match=message):
        run(make_pairs(4).with_columns(**change))
    column = next(iter(change))
    with pytest.raises(DataError, match=rf"have no {column}\. Score the responses"):
        run(make_pairs(4).drop(column))


@pytest.mark.slow
def test_long_pairs_stop_the_run_and_say_what_to_set(run, make_pairs):
    pairs = make_pairs(10)
    prompts, chosen, rejected = ([len(ids) for ids in pairs[c]] for c in trl_dpo.IDS)
    lengths = np.array(prompts) + np.maximum(chosen, rejected)
    longest = lengths.max()
    n = (lengths == longest).sum()
    message = (
        rf"{n} of 10 pairs .*max_length={longest - 1} .*Raise training.max_length to {longest}"
    )
    with pytest.raises(DataError, match=message):
        run(pairs, max_length=longest - 1)
    run(pairs, max_length=longest, steps=1)


def test_no_pairs_and_uneven_batches_are_errors(run, make_pairs):
    with pytest.raises(DataError, match="no preference pairs"):
        run(make_pairs(2).clear())
    with pytest.raises(ValidationError, match=r"batch_size=6 .*micro_batch_size=4.*multiple of 4"):
        run(make_pairs(2), batch_size=6, micro_batch_size=4)


@pytest.mark.slow
def test_batches_may_be_split_for_memory(run, make_pairs):
    _, whole = run(make_pairs(8), "whole", micro_batch_size=4)
    _, split = run(make_pairs(8), "split", micro_batch_size=1, gradient_checkpointing=True)
    for name, near in (("loss", {"abs": 1e-4}), ("grad_norm", {"rel": 1e-2})):
        expected = pytest.approx(whole.steps[name].to_list(), **near)
        assert split.steps[name].to_list() == expected


@pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning")
def test_training_warns_of_nothing_that_its_user_cannot_mend(run, make_pairs):
    run(make_pairs(4), epochs=1.0, lora=LoraConfig(r=4), gradient_checkpointing=True)


@pytest.mark.slow
def test_training_talks_to_nobody(run, make_pairs, monkeypatch, capfd):
    def refuse(*_, **__):
        raise AssertionError("telemetry")

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", refuse)
    run(make_pairs(4), steps=1)
    assert "it/s" not in "".join(capfd.readouterr())


def test_detection_refuses_models_that_scale_their_logits(run, start, tmp_path, make_pairs):
    scaled = tmp_path / "scaled"
    AutoModelForCausalLM.from_pretrained(start).save_pretrained(scaled)
    AutoTokenizer.from_pretrained(start).save_pretrained(scaled)
    settings = json.loads((scaled / "config.json").read_text())
    (scaled / "config.json").write_text(json.dumps({**settings, "final_logit_softcapping": 30.0}))
    with pytest.raises(ConfigError, match=r"final_logit_softcapping.*training\.loss"):
        run(make_pairs(4), start=scaled, **NOISE)


@pytest.mark.slow
def test_a_launch_that_fails_says_where_to_look(tmp_path):
    with pytest.raises(PrefoptError, match=r"2 processes ended with exit code 1.*output says why"):
        worker.launch(tmp_path / "missing.json", LaunchConfig(processes=2))
