"""What every registered strategy promises, and what each baseline adds to it."""

import inspect
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from prefopt_core.ground.errors import ConfigError
from prefopt_core.selection import STRATEGIES, Candidates
from prefopt_core.selection.aepo import objective, redundancy, representativeness
from prefopt_core.selection.candidates import Ensemble, Found
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.selection.similarity import cosine

PAIRS = [name for name in STRATEGIES if SelectionConfig(strategy=name).needs_estimates]
K_OF_N = [name for name in STRATEGIES if name not in ("west_of_n", *PAIRS)]
COMPARING = ["aepo", "coreset", "diverse", "k_medoids", "representative"]


def candidates(n, seed=0, d=5):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(n, d))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Ensemble(
        responses=[f"response {i}" for i in range(n)],
        counts=rng.integers(1, 4, size=n).astype(np.intp),
        embeddings=embeddings.astype(np.float32),
        logps=-rng.gamma(3.0, 10.0, size=n),
        rewards=rng.normal(size=n),
        spreads=rng.gamma(2.0, size=n),
        heads=rng.normal(size=(n, 5)),
    )


def select(name, given, k, seed=0, **settings):
    found = STRATEGIES[name](given, k, np.random.default_rng(seed), **settings)
    return found.members if isinstance(found, Found) else found


def unit(degrees):
    """Unit vectors in the plane."""
    radians = np.radians(degrees)
    return np.column_stack([np.cos(radians), np.sin(radians)]).astype(np.float32)


def at(degrees, counts=None):
    """Candidates at these angles: the cosine is that of the angle between them."""
    n = len(degrees)
    counts = np.ones(n, dtype=np.intp) if counts is None else np.array(counts, dtype=np.intp)
    return Candidates([str(d) for d in degrees], counts, unit(degrees))


# ---------------------------------------------------------------- every strategy


@pytest.mark.parametrize("name", STRATEGIES)
def test_signature_is_the_contract_and_the_schema(name):
    parameters = list(inspect.signature(STRATEGIES[name]).parameters.values())
    assert [p.name for p in parameters[:3]] == ["candidates", "k", "rng"]
    for setting in parameters[3:]:
        assert setting.kind is setting.KEYWORD_ONLY
        assert setting.annotation is not setting.empty
        assert setting.default is not setting.empty
    assert STRATEGIES.complete_params(name, {}) == {p.name: p.default for p in parameters[3:]}
    assert STRATEGIES.summary(name).endswith(".") or STRATEGIES.summary(name).endswith(")")


@pytest.mark.parametrize(("n", "k"), [(2, 2), (3, 2), (5, 3), (6, 6), (9, 7), (40, 8)])
@pytest.mark.parametrize("name", K_OF_N)
def test_returns_k_distinct_indices_in_ascending_order(name, n, k):
    for seed in range(3):
        selected = select(name, candidates(n, seed), k)
        assert len(selected) == k
        assert selected == sorted(set(selected))
        assert set(selected) <= set(range(n))
        assert all(type(index) is int for index in selected)


@pytest.mark.parametrize("name", STRATEGIES)
def test_inputs_are_left_alone(name):
    given = candidates(8)
    parts = ("counts", "embeddings", "logps", "rewards", "spreads", "heads")
    before = [getattr(given, part).copy() for part in parts]
    select(name, given, 2)
    after = [getattr(given, part) for part in parts]
    assert all(np.array_equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("name", STRATEGIES)
def test_same_generator_state_gives_the_same_selection(name):
    assert select(name, candidates(12), 2, seed=5) == select(name, candidates(12), 2, seed=5)


DRAWN = ("random", "drts", "dts", "info_gain", "sea", "vote_entropy")  # votes are often equal


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n not in DRAWN])
def test_only_random_thompson_sampling_and_equal_votes_draw(name):
    assert select(name, candidates(12), 2, seed=1) == select(name, candidates(12), 2, seed=2)


@pytest.mark.parametrize("k", [0, 1, 5])
@pytest.mark.parametrize("name", K_OF_N)
def test_impossible_k_is_refused_with_what_to_change(name, k):
    with pytest.raises(ConfigError, match=rf"k={k} of N=4.*`selection\.k`.*`generation\.n`"):
        select(name, candidates(4), k)


@pytest.mark.parametrize("name", COMPARING)
def test_comparing_strategy_without_embeddings_says_so(name):
    with pytest.raises(ConfigError, match=r"'cosine' compares.*Set `embedding`.*'random'"):
        select(name, replace(candidates(4), embeddings=None), 2)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in COMPARING])
def test_other_strategies_need_no_embeddings(name):
    given = candidates(6)
    assert select(name, replace(given, embeddings=None), 2) == select(name, given, 2)


@pytest.mark.parametrize("name", COMPARING)
def test_candidates_that_are_all_alike_still_give_k(name):
    assert select(name, at([30.0] * 5), 3) == [0, 1, 2]


# ---------------------------------------------------------------- AEPO and its two halves


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_aepo_maximises_its_objective_over_all_samples(weight):
    given = candidates(9)
    similarity = cosine(given.embeddings)
    subsets = np.array(list(combinations(range(9), 3)))
    values = objective(similarity, subsets, weight, given.counts)
    selected = select("aepo", given, 3, diversity_weight=weight)
    assert selected == subsets[values.argmax()].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_representative_takes_the_most_typical(seed):
    given = candidates(9, seed)
    typical = representativeness(cosine(given.embeddings), given.counts)
    assert select("representative", given, 3) == sorted(np.argsort(-typical)[:3].tolist())


@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_diverse_takes_the_least_redundant_and_is_the_limit_of_aepo(seed, k):
    given = candidates(9, seed)
    subsets = np.array(list(combinations(range(9), k)))
    selected = select("diverse", given, k)
    assert selected == subsets[redundancy(cosine(given.embeddings), subsets).argmin()].tolist()
    assert selected == select("aepo", given, k, diversity_weight=1e6)


def test_repeated_response_counts_as_often_as_it_was_sampled():
    degrees = [0.0, 10.0, 90.0, 95.0]
    assert select("representative", at(degrees, [5, 5, 1, 1]), 2) == [0, 1]
    assert select("representative", at(degrees, [1, 1, 5, 5]), 2) == [2, 3]


# ---------------------------------------------------------------- baselines


def test_random_reaches_every_pair_equally_often():
    drawn = [tuple(select("random", at([0.0] * 4), 2, seed)) for seed in range(1200)]
    shares = [drawn.count(pair) / len(drawn) for pair in combinations(range(4), 2)]
    assert shares == pytest.approx([1 / 6] * 6, abs=0.05)


@pytest.mark.parametrize("k", [2, 3, 99])
def test_west_of_n_takes_everything_whatever_k_is(k):
    assert select("west_of_n", candidates(5), k) == [0, 1, 2, 3, 4]


def test_coreset_starts_at_the_most_typical_and_goes_farthest():
    # Most typical: 20°. Farthest from it: 170°. Farthest from both: 95°, 75° away from each.
    given = at([0.0, 20.0, 40.0, 95.0, 170.0], [3, 9, 3, 1, 1])
    assert select("coreset", given, 2) == [1, 4]
    assert select("coreset", given, 3) == [1, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_coreset_covers_within_twice_the_optimal_radius(seed):
    given = candidates(10, seed)
    distance = np.sqrt(np.maximum(2 - 2 * cosine(given.embeddings), 0))  # a metric
    radius = {s: distance[:, s].min(axis=1).max() for s in combinations(range(10), 3)}
    assert radius[tuple(select("coreset", given, 3))] <= 2 * min(radius.values()) + 1e-9


def test_k_medoids_takes_one_of_each_cluster():
    degrees = [0.0, 5.0, 10.0, 120.0, 125.0, 130.0, 240.0, 244.0, 250.0]
    assert select("k_medoids", at(degrees), 3) == [1, 4, 7]


def test_k_medoids_weighs_samples():
    degrees = [0.0, 5.0, 10.0, 120.0, 125.0]
    assert select("k_medoids", at(degrees, [1, 1, 9, 1, 9]), 2) == [2, 4]


def test_k_medoids_undoes_a_bad_first_medoid():
    # Building greedily starts at 30°, where no medoid should be.
    degrees = [0.0, 1.0, 2.0, 30.0, 58.0, 59.0, 60.0]
    assert select("k_medoids", at(degrees), 2) == [1, 4]


@pytest.mark.parametrize("seed", range(10))
def test_no_swap_improves_k_medoids_and_it_is_near_the_optimum(seed):
    given = candidates(12, seed)
    distance = 1 - cosine(given.embeddings)
    cost = {s: given.counts @ distance[:, s].min(axis=1) for s in combinations(range(12), 3)}
    selected = select("k_medoids", given, 3)
    neighbours = [s for s in cost if len(set(s) & set(selected)) == 2]
    assert cost[tuple(selected)] <= min(cost[s] for s in neighbours) + 1e-9
    assert cost[tuple(selected)] <= 1.1 * min(cost.values())


def test_perplexity_of_two_takes_both_ends():
    given = replace(candidates(5), logps=np.array([-3.0, -9.0, -1.0, -4.0, -2.0]))
    assert select("perplexity", given, 2) == [1, 2]


def test_perplexity_of_more_spreads_evenly_and_keeps_both_ends():
    given = replace(candidates(9), logps=-np.arange(9.0))
    assert select("perplexity", given, 3) == [0, 4, 8]
    assert select("perplexity", given, 5) == [0, 2, 4, 6, 8]


def test_perplexity_without_log_probabilities_names_the_setting_that_gives_them():
    with pytest.raises(ConfigError, match=r"'perplexity' ranks.*`generation\.generator`"):
        select("perplexity", replace(candidates(4), logps=None), 2)
