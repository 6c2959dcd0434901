import numpy as np
import pytest
import torch

from prefopt_core.ground.errors import ConfigError
from prefopt_core.training import fidelity, trl_dpo
from prefopt_core.training.settings import LoraConfig, TrainingConfig

START = np.array([[-3.0, -3.0], [-4.0, -2.0]])
TRAINED = START + np.array([[1.0, -1.0], [1.0, -1.0]])


def margins(saved, dtype=torch.float32):
    return fidelity.margins(TRAINED, saved, START, tokens=9, beta=0.1, dtype=dtype)


def test_margins_are_rewards_relative_to_the_start():
    assert margins(TRAINED) == pytest.approx((0.2, 0.2))
    assert margins(TRAINED + 0.009) == pytest.approx((0.2, 0.2))  # a thousandth per token


@pytest.mark.parametrize(
    ("saved", "dtype", "remedy"),
    [
        (TRAINED + 0.011, torch.float32, r"lora\.merge: false"),
        (TRAINED + 1.1, torch.bfloat16, "save_dtype: float32"),
        (TRAINED * np.nan, torch.float32, r"lora\.merge: false"),
    ],
)
def test_another_policy_than_the_trained_one_is_refused(saved, dtype, remedy):
    with pytest.raises(ConfigError, match=rf"is not the policy that was trained.*{remedy}"):
        margins(saved, dtype)


def test_a_policy_without_numbers_is_refused():
    with pytest.raises(ConfigError, match="diverged"):
        fidelity.refuse_diverged(np.array([[-1.0, np.inf]]))


@pytest.mark.parametrize(("n", "taken"), [(1, 1), (16, 16), (17, 9), (1000, 16)])
def test_a_few_pairs_are_looked_at_evenly(make_pairs, n, taken):
    few = make_pairs(2)
    pairs = few.sample(n, with_replacement=True, seed=0).with_row_index("number")
    numbers = fidelity.sample_of(pairs)["number"].to_list()
    assert len(numbers) == taken
    assert len(set(np.diff(numbers))) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LoraConfig(r=4)], ids=["whole", "lora"])
def test_damage_in_saving_is_noticed(start, tmp_path, make_pairs, monkeypatch, lora):
    def damaged(model, *rest, save=trl_dpo.save_weights):
        with torch.no_grad():
            model.get_output_embeddings().weight[5] += 1.0
        save(model, *rest)

    monkeypatch.setattr(trl_dpo, "save_weights", damaged)
    config = TrainingConfig(learning_rate=1e-2, batch_size=4, lora=lora)
    with pytest.raises(ConfigError, match="is not the policy that was trained"):
        trl_dpo.train(make_pairs(8), start, tmp_path / "out", tmp_path / "work", config, seed=3)


def test_what_does_not_fit_the_gpu_in_float32_is_measured_on_the_cpu(
    start, tmp_path, make_pairs, monkeypatch
):
    """A model of 16 bits whose training fits may not fit twice as large; it is trained by then."""
    calls = []

    def full_at_first(*given, logps=fidelity._logps):
        calls.append(given)
        if len(calls) == 1:
            raise torch.OutOfMemoryError
        return logps(*given)

    monkeypatch.setattr(fidelity, "_logps", full_at_first)
    config = TrainingConfig(learning_rate=1e-2, batch_size=4)
    log = trl_dpo.train(make_pairs(8), start, tmp_path / "out", tmp_path / "work", config, seed=3)
    trained, saved = log.steps.select(fidelity.SAVED_METRICS).row(-1)
    assert len(calls) == 1 + 3 * 2 * 8
    assert trained == pytest.approx(saved)
