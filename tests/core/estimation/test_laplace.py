"""Bayesian logistic regression of preferences: calibrated on data like its own assumptions."""

import numpy as np
import pytest

from prefopt_core.estimation.laplace import SCALES, fit


def vectors(n, d, rng):
    """(n, d) of unit length, with most of their length in few directions, as of embeddings."""
    drawn = rng.normal(size=(n, d)) * np.linspace(1.6, 0.05, d)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def world(pairs, scale, seed, d=64):
    """A posterior of labels drawn from a random w, with that w and the generator."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=d) * scale
    phi = vectors(pairs, d, rng) - vectors(pairs, d, rng)
    won = rng.random(pairs) < 1 / (1 + np.exp(-phi @ w))
    return fit(np.where(won[:, None], phi, -phi), np.ones(pairs)), w, rng


@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("pairs", [30, 100, 300])
def test_intervals_hold_the_true_reward_about_as_often_as_they_say(pairs, scale):
    held = []
    for seed in range(8):
        posterior, w, rng = world(pairs, scale, seed)
        new = vectors(1000, 64, rng) - vectors(1000, 64, rng)
        error = np.abs(new @ w - posterior.rewards(new))
        held.append(float((error < 1.96 * posterior.spreads(new)).mean()))
    assert 0.9 < np.mean(held) <= 1.0  # rather too wide than too narrow


def test_probabilities_are_as_often_right_as_they_say():
    said, was = [], []
    for seed in range(8):
        posterior, w, rng = world(300, 2.0, seed)
        new = vectors(2000, 64, rng) - vectors(2000, 64, rng)
        heads = posterior.heads(new, 200, rng)
        said.append((1 / (1 + np.exp(-heads))).mean(axis=1))
        was.append(rng.random(2000) < 1 / (1 + np.exp(-new @ w)))
    said, was = np.concatenate(said), np.concatenate(was)
    for low in np.arange(0.1, 0.9, 0.2):
        there = (said >= low) & (said < low + 0.2)
        assert was[there].mean() == pytest.approx(said[there].mean(), abs=0.05)


def test_more_labels_come_nearer_and_are_surer():
    few, many = world(30, 2.0, 0)[0], world(1000, 2.0, 0)[0]
    _, w, rng = world(30, 2.0, 0)
    new = vectors(500, 64, rng)
    assert many.spreads(new).mean() < few.spreads(new).mean() / 1.5
    by_few, by_many = (np.corrcoef(p.rewards(new), new @ w)[0, 1] for p in (few, many))
    assert by_many > max(by_few, 0.9)


def test_without_labels_spread_is_the_length_of_the_vector():
    posterior = fit(np.zeros((0, 3)), np.zeros(0))
    new = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
    assert posterior.rewards(new).tolist() == [0.0, 0.0]
    assert posterior.spreads(new).tolist() == pytest.approx([5.0, 1.0])


def test_labels_shrink_the_spread_along_their_difference_and_no_other():
    posterior = fit(np.array([[1.0, 0.0]] * 20), np.ones(20))
    along, across = posterior.spreads(np.eye(2))
    assert along < across
    assert across == pytest.approx(posterior.scale)
    assert posterior.rewards(np.eye(2))[0] > 0
    assert posterior.rewards(np.eye(2))[1] == pytest.approx(0.0)


def test_unsure_labels_say_less():
    phi = np.array([[1.0, 0.0]] * 20)
    sure, unsure = fit(phi, np.ones(20)), fit(phi, np.full(20, 0.7))
    assert 0 < unsure.rewards(np.eye(2))[0] < sure.rewards(np.eye(2))[0]
    assert unsure.rewards(np.eye(2))[0] == pytest.approx(np.log(0.7 / 0.3), abs=0.1)


def test_mode_has_no_slope_and_the_precision_is_the_curvature():
    rng = np.random.default_rng(5)
    phi, labels = vectors(40, 8, rng) - vectors(40, 8, rng), rng.uniform(0.5, 1.0, size=40)
    posterior = fit(phi, labels)
    w, scale = posterior.mean, posterior.scale
    p = 1 / (1 + np.exp(-phi @ w))
    assert scale in SCALES
    assert w / scale**2 + phi.T @ (p - labels) == pytest.approx(np.zeros(8), abs=1e-5)
    curvature = phi.T @ np.diag(p * (1 - p)) @ phi + np.eye(8) / scale**2
    assert posterior.root @ posterior.root.T == pytest.approx(curvature, abs=1e-4)


def test_heads_have_the_mean_and_spread_of_the_posterior():
    posterior, _, rng = world(100, 2.0, 1)
    new = vectors(50, 64, rng)
    heads = posterior.heads(new, 4000, rng)
    assert heads.mean(axis=1) == pytest.approx(posterior.rewards(new), abs=0.15)
    assert heads.std(axis=1) == pytest.approx(posterior.spreads(new), rel=0.1)
