import inspect
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from prefopt_core import losses
from prefopt_core.ground.errors import ConfigError
from prefopt_core.training import LOSSES
from prefopt_core.training.objectives import PairLogps
from prefopt_core.training.settings import LoraConfig, TrainingConfig


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    logps = rng.uniform(-50, 0, size=(4, 5))
    lengths = rng.integers(1, 9, size=(2, 5))
    flagged = np.array([True, False, True, False, False])
    told = ("chosen_win_rate", "rejected_win_rate", "moved", "shift", "agreed")
    return PairLogps(
        *logps,
        *lengths,
        flagged,
        confidence=np.array([1.0, 0.9, 0.5, 0.6, 0.75]),
        told=dict(zip(told, rng.uniform(0, 1, size=(len(told), 5)), strict=True)),
    )


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_keeps_the_calling_convention(name, pairs):
    found = LOSSES[name](0.1, **LOSSES.complete_params(name, {}))(pairs)
    assert found.shape == (5,)
    assert np.isfinite(found).all()
    assert LOSSES.summary(name)
    assert next(iter(inspect.signature(LOSSES[name]).parameters)) == "beta"
    assert all(default is not ... for _, default in LOSSES.settings(name).values())


def test_ipo_and_simpo_see_means_and_the_others_sums(pairs):
    chosen = pairs.policy_chosen_logps / pairs.chosen_lengths
    rejected = pairs.policy_rejected_logps / pairs.rejected_lengths
    simpo = losses.simpo(chosen, rejected, beta=2.0, target_margin=0.5)
    assert np.array_equal(LOSSES["simpo"](2.0)(pairs), simpo)
    reference_chosen = pairs.reference_chosen_logps / pairs.chosen_lengths
    reference_rejected = pairs.reference_rejected_logps / pairs.rejected_lengths
    ipo = losses.ipo(chosen, rejected, reference_chosen, reference_rejected, beta=0.2)
    assert np.array_equal(LOSSES["ipo"](0.2)(pairs), ipo)
    assert np.array_equal(LOSSES["dpo"](0.2)(pairs), losses.dpo(*pairs.sums, beta=0.2))


def test_noise_aware_spares_the_flagged_pairs_only(pairs):
    plain, spared = LOSSES["dpo"](0.1)(pairs), LOSSES["noise_aware"](0.1, alpha=0.3)(pairs)
    assert np.array_equal(plain != spared, pairs.flagged)


def test_soft_labels_stop_pushing_where_the_policy_is_as_sure_as_the_verdicts(pairs):
    sure = np.full(5, 1.0)
    assert np.array_equal(
        LOSSES["soft"](0.1)(replace(pairs, confidence=sure)), LOSSES["dpo"](0.1)(pairs)
    )
    smoothed = losses.cdpo(*pairs.sums, beta=0.1, label_smoothing=0.25)
    assert LOSSES["soft"](0.1)(pairs)[4] == smoothed[4]
    # The least loss is the entropy of the label, at β·Δ = logit of the confidence.
    p, zero = pairs.confidence[1:], np.zeros(4)
    margins = np.log(p / (1 - p)) / 0.1
    even = PairLogps(margins, zero, zero, zero, zero + 1, zero + 1, zero > 0, confidence=p)
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert np.allclose(LOSSES["soft"](0.1)(even), entropy)
    for moved in (margins - 1, margins + 1):
        there = replace(even, policy_chosen_logps=moved)
        assert (LOSSES["soft"](0.1)(there) > entropy).all()


def test_sppo_takes_win_rates_as_they_are_and_those_of_two_where_there_are_none():
    table = pl.DataFrame(
        {
            "confidence": [0.9, 1.0, 0.8],
            "chosen_win_rate": [0.7, None, None],
            "rejected_win_rate": [0.4, None, None],
        }
    )
    told = LOSSES["sppo"](0.001).tell(table)
    # Of two responses: (1/2 + P) / 2 and (1/2 + 1 - P) / 2.
    assert told["chosen_win_rate"].tolist() == pytest.approx([0.7, 0.75, 0.65])
    assert told["rejected_win_rate"].tolist() == pytest.approx([0.4, 0.25, 0.35])
    alone = LOSSES["sppo"](0.001).tell(table.select("confidence"))
    assert alone["chosen_win_rate"].tolist() == pytest.approx([0.7, 0.75, 0.65])


def test_ssapo_moves_the_least_sure_of_the_self_made_labels(pairs):
    # Log-odds of 0.55, 0.6 and 0.9: 0.2007, 0.4055, 2.1972; from -1.6 that is 1.8007, 2.0055, …
    # ε·N = 0.8 · 3 = 2.4 units: all of the first, and 0.5993 / 2.0055 of the second.
    table = pl.DataFrame(
        {
            "source": ["gold", "self", "gold", "self", "self"],
            "confidence": [0.51, 0.6, 1.0, 0.55, 0.9],
        }
    )
    objective = LOSSES["ssapo"](0.1, radius=0.8)
    told = objective.tell(table)
    assert told["moved"] == pytest.approx([0, 0.29884, 0, 1, 0], abs=1e-4)
    assert told["shift"] == pytest.approx([0, 2.00547, 0, 1.80067, 0], abs=1e-4)
    losses_ = objective(replace(pairs, told=told))
    plain = LOSSES["dpo"](0.1)(pairs)
    assert np.array_equal(losses_ > plain, told["moved"] > 0)
    unmoved = LOSSES["ssapo"](0.1, radius=0.0)
    assert np.array_equal(unmoved(replace(pairs, told=unmoved.tell(table))), plain)


def test_a_config_holds_all_settings_of_its_loss():
    config = TrainingConfig(loss="noise_aware", params={"alpha": 0.2})
    assert config.params == {
        "alpha": 0.2,
        "noise_share": 0.1,
        "extrapolation": (0.5, 0.25, 0.125),
        "warm_up": 0.2,
        "threshold": "running",
        "window": 50,
        "doubts": "self",
    }
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
    lora = TrainingConfig(lora=LoraConfig(target_modules=("q_proj",)))
    assert TrainingConfig.model_validate_json(lora.model_dump_json()) == lora


@pytest.mark.parametrize(
    ("loss", "params", "message"),
    [
        ("dpoo", {}, "Did you mean 'dpo'"),
        ("noise_aware", {"alfa": 1}, "Did you mean 'alpha'"),
        ("noise_aware", {"noise_share": 0}, "greater than 0"),
        ("ssapo", {"radius": -0.1}, "greater than or equal to 0"),
        ("rdpo", {"label_smoothing": 0.5}, r"less than 0\.5"),
        ("dpo", {"label_smoothing": 0.1}, "no setting 'label_smoothing'"),
    ],
)
def test_a_wrong_setting_is_named(loss, params, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(loss=loss, params=params)
    with pytest.raises(ConfigError, match=message):
        LOSSES.complete_params(loss, params)


def test_dpo_norm_is_dpo_of_means_over_tokens(pairs):
    means = losses.dpo(*pairs.means, beta=5.0)
    assert np.array_equal(LOSSES["dpo_norm"](5.0)(pairs), means)
    one = replace(pairs, chosen_lengths=pairs.chosen_lengths * 0 + 1)
    one = replace(one, rejected_lengths=one.chosen_lengths)
    assert np.array_equal(LOSSES["dpo_norm"](0.1)(one), LOSSES["dpo"](0.1)(one))


def test_cream_counts_a_label_as_far_as_both_judges_agree(pairs):
    table = pl.DataFrame(
        {
            "source": ["gold", "self", "self", "self", "self"],
            "consistency": [None, 1.0, 0.25, None, 0.75],
        }
    )
    plain = LOSSES["dpo"](0.1)(pairs)
    turned = plain + 0.1 * ((pairs.sums[0] - pairs.sums[2]) - (pairs.sums[1] - pairs.sums[3]))
    # (1 + 1/4 + 3/4) / 3 = 2/3, also of the prompt of which it is not known
    for params, agreed in (
        ({}, [1, 2 / 3, 2 / 3, 2 / 3, 2 / 3]),
        ({"consistency": "prompt"}, [1, 1, 0.25, 2 / 3, 0.75]),
    ):
        objective = LOSSES["cream"](0.1, **params)
        told = objective.tell(table)
        assert told["agreed"] == pytest.approx(agreed)
        c = told["agreed"]
        assert objective(replace(pairs, told=told)) == pytest.approx(c * plain + (1 - c) * turned)


def test_cream_of_judges_that_agree_in_all_is_dpo(pairs):
    plain = LOSSES["dpo"](0.1)(pairs)
    sources = {"source": ["self"] * 5}
    for known in ({}, {"consistency": [1.0] * 5}, {"consistency": [None] * 5}):
        table = pl.DataFrame(sources | known, schema_overrides={"consistency": pl.Float64})
        for rate in ("average", "prompt"):
            objective = LOSSES["cream"](0.1, consistency=rate)
            told = objective.tell(table)
            assert np.array_equal(objective(replace(pairs, told=told)), plain)
