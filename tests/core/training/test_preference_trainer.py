import numpy as np
import polars as pl
import pytest
import torch
from datasets import Dataset
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
)
from trl import DPOConfig, DPOTrainer

from prefopt_core import losses
from prefopt_core.models.tokens import load_tokenizer
from prefopt_core.noise import quantile_threshold
from prefopt_core.training import trl_dpo
from prefopt_core.training.packing import opened
from prefopt_core.training.preference_trainer import Arguments, PreferenceTrainer
from prefopt_core.training.settings import LoraConfig, TrainingConfig

LAM, ALPHA, BETA = 0.5, 0.3, 0.2


def perturb(model, scale=0.05):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(scale * torch.randn_like(parameter))


def extrapolated(policy, reference, oracle, row, side):
    prompt, response = row["prompt_token_ids"], row[f"{side}_token_ids"]
    logits = (1 + LAM) * oracle.logits(policy, prompt, response)
    return oracle.logps(logits - LAM * oracle.logits(reference, prompt, response), response)


def by_hand(policy, reference, oracle, frame):
    """The losses and detection margins of a batch, from single passes over single sequences."""
    rows = frame.to_dicts()

    def policy_logps(side):
        return np.array(
            [
                oracle.logps(oracle.logits(policy, r["prompt_token_ids"], ids), ids)
                for r in rows
                for ids in [r[f"{side}_token_ids"]]
            ]
        )

    chosen, rejected = policy_logps("chosen"), policy_logps("rejected")
    references = frame["ref_chosen_logps"].to_numpy(), frame["ref_rejected_logps"].to_numpy()
    mixed = [
        extrapolated(policy, reference, oracle, r, "chosen")
        - extrapolated(policy, reference, oracle, r, "rejected")
        for r in rows
    ]
    margins = BETA * (np.array(mixed) - references[0] + references[1])
    return (chosen, rejected, *references), margins


@pytest.fixture
def make_trainer(start, tmp_path):
    def make(frame, **settings):
        config = TrainingConfig(
            **{"batch_size": 6, "micro_batch_size": 6, "beta": BETA, **settings}
        )
        model = LlamaForCausalLM.from_pretrained(start)
        trainer = trl_dpo._trainer(model, frame, start, tmp_path, config, seed=0)
        trainer.state.max_steps = 10
        trainer.state.global_step = 5
        trainer.state.epoch = 0.5
        trainer.model.train()
        return trainer

    return make


def batch_of(trainer):
    return trainer.data_collator([trainer.pairs[i] for i in range(len(trainer.pairs))])


def test_a_batch_has_no_float_that_a_library_could_round(make_trainer, make_pairs):
    frame = make_pairs(4, seed=1)
    trainer = make_trainer(frame)
    batch = batch_of(trainer)
    rounded = {k: v.bfloat16() if v.is_floating_point() else v for k, v in batch.items()}
    assert opened(rounded)["ref_chosen_logps"].tolist() == pytest.approx(
        frame["ref_chosen_logps"].to_list(), rel=1e-6
    )
    assert trainer.compute_loss(trainer.model, rounded) == trainer.compute_loss(
        trainer.model, batch
    )


@pytest.mark.parametrize("lora", [None, LoraConfig(r=4)])
@pytest.mark.parametrize("threshold", ["running", "quantile"])
def test_the_loss_of_a_batch_is_the_one_computed_by_hand(
    make_trainer, make_pairs, oracle, start, lora, threshold
):
    frame = pl.concat([make_pairs(4, seed=1), make_pairs(2, seed=2, source="gold")])
    noise = {"alpha": ALPHA, "extrapolation": LAM, "threshold": threshold, "noise_share": 0.5}
    trainer = make_trainer(frame, loss="noise_aware", params=noise, lora=lora)
    perturb(trainer.model)
    policy = trainer.model
    logps, margins = by_hand(policy, LlamaForCausalLM.from_pretrained(start), oracle, frame)
    own = margins[:4]
    tau = quantile_threshold(own, noise_share=0.5)
    if threshold == "running":
        tau = float(np.median(own))
        trainer._threshold().value = tau
    trainer.model.train()
    found = trainer.compute_loss(trainer.model, batch_of(trainer))
    below, at = own < tau - 1e-6, np.abs(own - tau) <= 1e-6  # an exact τ is one of the margins,
    flagged = below | (at & [row in trainer.flagged for row in range(4)])  # give or take a rounding
    assert below.sum() + at.sum() == 2
    flagged = np.append(flagged, [False, False])  # gold labels are trusted
    expected = losses.noise_aware_dpo(*logps, flagged, beta=BETA, alpha=ALPHA).mean()
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert trainer.measured["threshold"] == [pytest.approx(tau, abs=1e-5)]
    assert trainer.flagged == dict.fromkeys(np.flatnonzero(flagged).tolist(), 1)
    if threshold == "running":  # the window has moved on by the self-labelled pairs
        assert trainer._threshold().margins == pytest.approx(own, abs=1e-4)
    found.backward()
    gradients = [p.grad for p in trainer.model.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in gradients)


def test_detection_without_extrapolation_needs_no_reference(make_trainer, make_pairs, oracle):
    frame = make_pairs(6)
    trainer = make_trainer(frame, loss="noise_aware", params={"extrapolation": 0.0})
    perturb(trainer.model)
    chosen, rejected, *references = by_hand(trainer.model, trainer.model, oracle, frame)[0]
    trainer.compute_loss(trainer.model, batch_of(trainer))
    expected = BETA * (chosen - references[0] - rejected + references[1])
    assert trainer._threshold().margins == pytest.approx(expected, abs=1e-4)
    assert "model" not in vars(trainer.detector.reference)


def test_noise_aware_without_self_made_labels_is_dpo(make_trainer, make_pairs):
    frame = make_pairs(6, source="gold")
    found = []
    for loss in ("noise_aware", "dpo"):
        trainer = make_trainer(frame, loss=loss)
        perturb(trainer.model)
        found.append(trainer.compute_loss(trainer.model, batch_of(trainer)).item())
    assert found[0] == found[1]


@pytest.mark.parametrize("threshold", ["running", "quantile"])
def test_nothing_is_flagged_before_the_warm_up_ends(make_trainer, make_pairs, threshold):
    trainer = make_trainer(make_pairs(6), loss="noise_aware", params={"threshold": threshold})
    trainer._threshold().value = 1e9
    trainer.state.global_step = 1
    trainer.compute_loss(trainer.model, batch_of(trainer))
    assert trainer.measured["flagged"] == [0.0]
    assert trainer.measured["threshold"] == []
    assert trainer.flagged == {}
    assert trainer._threshold().epoch == -1


def test_pairs_are_counted_as_often_as_they_are_flagged(make_trainer, make_pairs):
    frame = pl.concat([make_pairs(2, source="gold"), make_pairs(3, seed=1)])
    trainer = make_trainer(frame, loss="noise_aware")
    for value in (1e9, -1e9, 1e9):  # all self-labelled pairs, none, all
        trainer._threshold().value = value
        trainer.compute_loss(trainer.model, batch_of(trainer))
    assert trainer.flagged == {2: 2, 3: 2, 4: 2}


@pytest.mark.parametrize("loss", ["dpo", "simpo"])
def test_sft_adds_the_mean_loss_of_a_token_of_all_chosen_responses(
    make_trainer, make_pairs, oracle, loss
):
    frame, weight = make_pairs(5, source="gold"), 0.3
    found = []
    for sft in (0.0, weight):
        trainer = make_trainer(frame, loss=loss, sft=sft)
        perturb(trainer.model)
        found.append(trainer.compute_loss(trainer.model, batch_of(trainer)).item())
    chosen, *_ = by_hand(trainer.model, trainer.model, oracle, frame)[0]
    tokens = frame["chosen_token_ids"].list.len().to_numpy()
    assert len(set(tokens)) > 1  # else it could be a mean over responses as well
    assert found[1] - found[0] == pytest.approx(-weight * chosen.sum() / tokens.sum(), rel=1e-5)


def test_shifts_are_what_the_log_probabilities_gained(make_trainer, make_pairs, oracle):
    frame = make_pairs(4)
    trainer = make_trainer(frame)
    perturb(trainer.model)
    chosen, rejected, *references = by_hand(trainer.model, trainer.model, oracle, frame)[0]
    trainer.compute_loss(trainer.model, batch_of(trainer))
    seen = trainer.measured
    assert seen["chosen_shift"] == [pytest.approx((chosen - references[0]).mean(), abs=1e-4)]
    assert seen["rejected_shift"] == [pytest.approx((rejected - references[1]).mean(), abs=1e-4)]
    assert abs(seen["chosen_shift"][0]) > 0.1


def test_the_exact_threshold_is_measured_once_an_epoch(make_trainer, make_pairs):
    trainer = make_trainer(make_pairs(6), loss="noise_aware", params={"threshold": "quantile"})
    seen = []
    for epoch in (0.5, 0.9, 1.0, 1.9):
        perturb(trainer.model)
        trainer.state.epoch = epoch
        trainer.compute_loss(trainer.model, batch_of(trainer))
        seen.append(trainer._threshold().value)
    assert seen[0] == seen[1] != seen[2] == seen[3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "theirs", "sft"),
    [
        ("dpo", "sigmoid", 0.0),
        ("dpo", "sigmoid", 0.5),
        ("dpo_norm", "sigmoid_norm", 0.0),
        ("sppo_hard", "sppo_hard", 0.0),
    ],
)
def test_trl_computes_the_same_losses_from_the_same_pairs(
    start, tmp_path, make_pairs, loss, theirs, sft
):
    frame = make_pairs(12, source="gold", finished=True)
    config = TrainingConfig(loss=loss, learning_rate=1e-2, batch_size=4, epochs=2.0, sft=sft)
    work = tmp_path / "work"
    ours = trl_dpo.train(frame, start, tmp_path / "out", work, config, seed=0).steps

    tokenizer = load_tokenizer(start)
    texts = [
        {
            "prompt": tokenizer.decode(r["prompt_token_ids"]),
            "chosen": " " + tokenizer.decode(r["chosen_token_ids"]),
            "rejected": " " + tokenizer.decode(r["rejected_token_ids"]),
        }
        for r in frame.to_dicts()
    ]
    arguments = trl_dpo._arguments(tmp_path / "trl", config, 0, len(frame)).to_dict()
    kept = (
        "seed",
        "learning_rate",
        "lr_scheduler_type",
        "warmup_steps",
        "num_train_epochs",
        "optim",
    )
    trainer = DPOTrainer(
        model=LlamaForCausalLM.from_pretrained(start),
        args=DPOConfig(
            output_dir=str(tmp_path / "trl"),
            per_device_train_batch_size=4,
            logging_steps=1,
            bf16=False,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            beta=config.beta,
            loss_type=[theirs, "sft"] if sft else [theirs],
            loss_weights=[1.0, sft] if sft else None,
            **{k: arguments[k] for k in kept},
        ),
        train_dataset=Dataset.from_list(texts),
        processing_class=tokenizer,
    )
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(steps) == len(ours) == 6
    for name, figure in (
        ("loss", "loss"),
        ("rewards/margins", "reward_margin"),
        ("logps/chosen", "chosen_logps"),
    ):
        expected = pytest.approx([entry[name] for entry in steps], abs=1e-5, rel=1e-5)
        assert ours[figure].to_list() == expected
    accuracies = [entry["rewards/accuracies"] for entry in steps]
    assert ours["accuracy"].to_list()[2:] == accuracies[2:]  # before, margins are noise around 0
    assert abs(ours["loss"][-1] - ours["loss"][0]) > 0.09  # not what it starts with all along


def test_dropout_of_the_model_is_off_in_any_architecture(start, tmp_path, make_pairs, oracle):
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=40))
    frame = make_pairs(4)
    config = TrainingConfig(loss="noise_aware", params={"extrapolation": 0.0})
    model.save_pretrained(tmp_path / "model")
    policy = trl_dpo._policy(tmp_path / "model", config)
    trainer = trl_dpo._trainer(policy, frame, start, tmp_path / "work", config, seed=0)
    trainer.state.max_steps = 1
    trainer.model.train()
    found = trainer.compute_loss(trainer.model, batch_of(trainer)).item()
    logps = by_hand(model.eval(), model, oracle, frame)[0]
    assert found == pytest.approx(losses.dpo(*logps, beta=config.beta).mean(), rel=1e-5)


def test_of_private_names_of_trl_three_are_overridden_and_no_other_is_hidden():
    """A release that drops one would tokenise, score or send; one that adds others could clash."""
    ours = {name for name in vars(PreferenceTrainer) if not name.startswith("__")}
    theirs = {name for kind in DPOTrainer.__mro__ for name in vars(kind)}
    replaced = {"_prepare_dataset", "_precompute_ref_logps", "_send_telemetry"}
    assert {name for name in ours & theirs if name.startswith("_")} == replaced


def test_a_batch_is_dealt_out_to_one_gpu_though_there_are_more(monkeypatch, tmp_path):
    monkeypatch.setattr(DPOConfig, "n_gpu", 4)
    arguments = Arguments(str(tmp_path), per_device_train_batch_size=3, bf16=False)
    assert arguments.train_batch_size == 3


def test_private_names_of_transformers_that_are_read_are_there():
    assert PreTrainedModel._is_stateful is False
    assert PretrainedConfig(attn_implementation="sdpa")._attn_implementation == "sdpa"
