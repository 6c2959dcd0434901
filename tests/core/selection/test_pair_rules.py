"""Rules that choose which pair to ask about, by estimated rewards."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from prefopt_core.ground.errors import ConfigError
from prefopt_core.selection import STRATEGIES
from prefopt_core.selection.bald import information
from prefopt_core.selection.candidates import Candidates, Ensemble, Estimated
from prefopt_core.selection.margin_std import spreads_of_margins
from prefopt_core.selection.settings import SelectionConfig

BY_HEADS = ["bald", "entropy", "margin_std", "sea", "vote_entropy"]
BY_DRAWS = ["drts", "dts", "info_gain", "sea"]
BOUNDED = ["delta_quantile", "delta_ucb", "drts", "dts", "info_gain", "info_max", "max_min_lcb"]
RULES = sorted([*BY_HEADS, *BOUNDED, "margin", "small_margin"])
SURE = [name for name in RULES if name not in BY_DRAWS]  # they draw among equals only


def believed(rewards, spreads=None, heads=None):
    """Candidates with these estimates."""
    rewards = np.array(rewards, dtype=float)
    n = len(rewards)
    return Ensemble(
        responses=[f"response {i}" for i in range(n)],
        counts=np.ones(n, dtype=np.intp),
        rewards=rewards,
        spreads=np.zeros(n) if spreads is None else np.array(spreads, dtype=float),
        heads=np.column_stack([rewards, rewards]) if heads is None else np.array(heads),
    )


def drawn(seed, n=7):
    rng = np.random.default_rng(seed)
    return believed(rng.normal(size=n), rng.gamma(2.0, 0.5, size=n), rng.normal(size=(n, 6)))


def choose(name, given, seed=0, **settings):
    return STRATEGIES[name](given, 2, np.random.default_rng(seed), **settings)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# ---------------------------------------------------------------- every rule


def test_these_are_the_strategies_that_need_estimates():
    assert [n for n in STRATEGIES if SelectionConfig(strategy=n).needs_estimates] == RULES
    assert [n for n in STRATEGIES if SelectionConfig(strategy=n).needs_heads] == BY_HEADS


@pytest.mark.parametrize("n", [2, 3, 9, 40])
@pytest.mark.parametrize("name", RULES)
def test_chooses_two_distinct_responses_in_ascending_order(name, n):
    for seed in range(20):
        first, second = choose(name, drawn(seed, n), seed)
        assert 0 <= first < second < n
        assert type(first) is type(second) is int


@pytest.mark.parametrize("name", RULES)
def test_equal_responses_are_all_drawn(name):
    given = believed([0.0] * 4, [1.0] * 4)
    pairs = {tuple(choose(name, given, seed)) for seed in range(200)}
    assert pairs == set(combinations(range(4), 2))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", [name for name in SURE if name != "vote_entropy"])
def test_order_of_the_responses_does_not_matter(name, seed):
    given = drawn(seed)
    order = np.random.default_rng(seed + 100).permutation(len(given))
    turned = believed(given.rewards[order], given.spreads[order], given.heads[order])
    assert sorted(order[choose(name, turned)].tolist()) == choose(name, given)


@pytest.mark.parametrize("name", [*BY_DRAWS, "vote_entropy"])  # votes are often equal
def test_order_of_the_responses_does_not_matter_to_rules_that_draw_on_average(name):
    given, order = drawn(3, 4), np.array([2, 0, 3, 1])
    turned = believed(given.rewards[order], given.spreads[order], given.heads[order])
    as_they_are = [tuple(choose(name, given, seed)) for seed in range(400)]
    as_turned = [tuple(sorted(order[choose(name, turned, seed)])) for seed in range(400)]
    for pair in combinations(range(4), 2):
        assert as_they_are.count(pair) == pytest.approx(as_turned.count(pair), abs=50)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", SURE)
def test_only_differences_of_rewards_count(name, seed):
    given = drawn(seed)
    raised = replace(given, rewards=given.rewards + 5.0, heads=given.heads + 5.0)
    assert choose(name, raised) == choose(name, given)


@pytest.mark.parametrize("name", RULES)
def test_other_k_than_two_is_refused_before_anything_runs(name):
    with pytest.raises(ConfigError, match=r"k=3: .*which two.*`selection\.k` to 2"):
        STRATEGIES[name](drawn(0), 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"k=3: .*which two.*`selection\.k` to 2"):
        SelectionConfig(strategy=name, k=3)


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("beta", [-0.5, float("inf")])
def test_bounds_of_impossible_width_are_refused(name, beta):
    with pytest.raises(ConfigError, match="'beta'"):
        STRATEGIES.complete_params(name, {"beta": beta})


def test_strategies_say_by_a_type_what_they_need():
    assert issubclass(Ensemble, Estimated)
    assert issubclass(Estimated, Candidates)


# ---------------------------------------------------------------- each by its definition


GOLDEN = believed(
    [0.0, 1.0, 1.5, -0.5],
    [2.0, 0.1, 0.2, 0.5],
    [[0.0, 0.0], [2.0, 0.0], [1.5, 1.5], [-3.0, 2.0]],
)
"""u 2, 1.1, 1.7, 0; l -2, 0.9, 1.3, -1. By hand, off the diagonal u_i - l_j is, of i = 0 (1, 2, 3):
1.1, 0.7, 3; of 1 (0, 2, 3): 3.1, -0.2, 2.1; of 2 (0, 1, 3): 3.7, 0.8, 2.7; of 3 (0, 1, 2): 2, -0.9,
-1.3. |r_i - r_j| is 1, 1.5, 0.5 (0 and 3), 0.5 (1 and 2), 1.5 (1 and 3), 2."""


@pytest.mark.parametrize(
    ("name", "settings", "pair"),
    [
        ("delta_ucb", {}, [0, 2]),  # 3.7
        ("delta_quantile", {"quantile": 0.0}, [0, 2]),
        ("delta_quantile", {"quantile": 0.1}, [0, 1]),  # of 12 the second, 3.1
        ("delta_quantile", {"quantile": 0.2}, [0, 3]),  # the third, 3.0
        ("delta_quantile", {"quantile": 0.25}, [2, 3]),  # the fourth, 2.7
        ("delta_quantile", {"quantile": 1.0}, [2, 3]),  # the last, of 3 over 2: -1.3
        ("margin", {}, [2, 3]),  # 2
        ("margin", {"quantile": 0.99}, None),  # 0.5, twice
        ("drts", {"beta": 0.0}, [2, 3]),
        ("max_min_lcb", {}, [0, 2]),  # the least L of 0 to 3: -3.7, -1.1, -0.7 (against 0), -3
        ("entropy", {}, [0, 3]),  # 0.953 and 0.119: 0.536; next is 1 over 3, 0.556
        ("bald", {}, [1, 3]),  # of 0.993 and 0.119: 0.687 - 0.203; of 0 and 3: 0.691 - 0.277
        ("margin_std", {}, [1, 3]),  # of 5 and -2: 3.5; next are 0 and 3, of 3 and -2: 2.5
    ],
)
def test_pairs_are_those_worked_out_by_hand(name, settings, pair):
    pairs = {tuple(choose(name, GOLDEN, seed, **settings)) for seed in range(40)}
    assert pairs == ({(0, 3), (1, 2)} if pair is None else {tuple(pair)})


@pytest.mark.parametrize("seed", range(10))
def test_small_margin_is_the_largest_entropy_of_the_judge(seed):
    given = drawn(seed)

    def entropy(pair):
        p = sigmoid(given.rewards[pair[0]] - given.rewards[pair[1]])
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    assert choose("small_margin", given) == list(max(combinations(range(7), 2), key=entropy))


def test_delta_ucb_without_width_is_best_against_worst():
    assert choose("delta_ucb", believed([0.3, -1.0, 2.0, 0.0], [9, 0, 0, 9]), beta=0.0) == [1, 2]


def test_delta_ucb_asks_about_what_may_differ_most():
    # u - l: of 0 and 1 it is (0.3 + 3) - (0.0 - 2), of the best and the worst only 3
    assert choose("delta_ucb", believed([0.3, 0.0, 2.0, -1.0], [3, 2, 0, 0])) == [0, 1]


def test_delta_ucb_takes_two_responses_even_where_one_has_both_bounds():
    # u is 9, 1.1, 0.6 and l -9, 0.9, 0.4: u_1 - l_0 is the largest of two
    assert choose("delta_ucb", believed([0.0, 1.0, 0.5], [9.0, 0.1, 0.1])) == [0, 1]


@pytest.mark.parametrize("seed", range(10))
def test_info_max_is_the_widest_interval_of_the_probability(seed):
    given = drawn(seed)
    u, low = given.rewards + given.spreads, given.rewards - given.spreads

    def width(pair):
        i, j = pair
        return sigmoid(u[i] - low[j]) - sigmoid(low[i] - u[j])

    assert choose("info_max", given) == list(max(combinations(range(7), 2), key=width))


@pytest.mark.parametrize("seed", range(10))
def test_max_min_lcb_is_the_best_reply_to_a_leader(seed):
    given = drawn(seed)
    r, s = given.rewards, given.spreads

    def bound(i, j):
        return r[i] - r[j] - s[i] - s[j]

    def reply(i):
        return min((j for j in range(7) if j != i), key=lambda j: bound(i, j))

    leader = max(range(7), key=lambda i: bound(i, reply(i)))
    assert choose("max_min_lcb", given) == sorted([leader, reply(leader)])


def test_info_max_of_certain_rewards_draws_any_pair():
    given = believed([0.3, -1.0, 2.0])
    pairs = {tuple(choose("info_max", given, seed)) for seed in range(50)}
    assert pairs == set(combinations(range(3), 2))


def test_max_min_lcb_without_width_is_the_two_best():
    assert choose("max_min_lcb", believed([0.3, -1.0, 2.0, 0.0], [9, 0, 0, 9]), beta=0.0) == [0, 2]


def test_thompson_sampling_of_certain_rewards_is_the_best_against_any_other():
    # The best comes out twice, thirty times over; then the other is drawn.
    pairs = [choose("dts", believed([0.3, -1.0, 2.0, 0.0]), seed) for seed in range(900)]
    others = [pair[0] if pair[1] == 2 else pair[1] for pair in pairs]
    assert all(2 in pair for pair in pairs)
    assert [others.count(i) / 900 for i in (0, 1, 3)] == pytest.approx([1 / 3] * 3, abs=0.06)


def test_thompson_sampling_takes_no_response_that_cannot_be_best():
    given = believed([0.0, 0.1, 5.0, 5.5], [1.0, 1.0, 1.0, 1.0])
    assert {tuple(choose("dts", given, seed)) for seed in range(200)} == {(2, 3)}


@pytest.mark.parametrize("seed", range(10))
def test_margin_is_best_against_worst_at_one_end_and_small_margin_at_the_other(seed):
    given = drawn(seed)
    best_and_worst = sorted([int(given.rewards.argmax()), int(given.rewards.argmin())])
    assert choose("margin", given) == best_and_worst
    assert choose("margin", given, quantile=1.0) == choose("small_margin", given)
    wanted = sorted(combinations(range(7), 2), key=lambda p: -abs(np.diff(given.rewards[[*p]])[0]))
    assert choose("margin", given, quantile=10.5 / 21) == list(wanted[10])


@pytest.mark.parametrize("quantile", [-0.1, 1.5])
def test_quantiles_that_are_none_are_refused(quantile):
    for name in ("margin", "delta_quantile"):
        with pytest.raises(ConfigError, match="'quantile'"):
            STRATEGIES.complete_params(name, {"quantile": quantile})


def test_reverse_thompson_sampling_takes_no_pair_that_cannot_differ_most():
    given = believed([0.0, 0.1, 5.0, 5.5], [1.0, 1.0, 1.0, 1.0])
    pairs = {tuple(choose("drts", given, seed)) for seed in range(200)}
    assert pairs == {(0, 2), (0, 3), (1, 2), (1, 3)}


@pytest.mark.parametrize("seed", range(10))
def test_entropy_is_small_margin_where_all_heads_agree(seed):
    given = drawn(seed)
    agreed = replace(given, heads=np.tile(given.rewards[:, None], 3))
    assert choose("entropy", agreed) == choose("small_margin", given)


def test_entropy_does_not_tell_doubt_from_disagreement():
    heads = [[0.0, 0.0], [0.0, 0.0], [9.0, 3.0], [3.0, 9.0]]
    pairs = {tuple(choose("entropy", believed([0.0] * 4, heads=heads), seed)) for seed in range(50)}
    assert pairs == {(0, 1), (2, 3)}


def test_bald_is_no_information_where_heads_agree_and_a_bit_where_they_are_sure_and_do_not():
    assert information(np.array([[3.0, 3.0], [1.0, 1.0]])).max() == pytest.approx(0.0, abs=1e-12)
    assert information(np.array([[40.0, -40.0], [0.0, 0.0]]))[0, 1] == pytest.approx(np.log(2))
    assert np.isfinite(information(np.array([[4000.0, -4000.0], [0.0, 0.0]]))).all()


def test_bald_prefers_disagreement_to_doubt():
    # Every head thinks 0 and 1 equal (doubt); half of them each way about 2 and 3 (disagreement).
    heads = [[0.0, 0.0], [0.0, 0.0], [9.0, 3.0], [3.0, 9.0]]
    assert choose("bald", believed([0.0] * 4, heads=heads)) == [2, 3]


def test_margin_std_is_worked_out_by_hand():
    # 0 and 1 are 2, -4, 2 apart, 0 and 2 are 1, -5, 1: about the means 0 and -1 that is 2, 4, 2
    heads = np.array([[2.0, -4.0, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    of_0, of_2 = 8**0.5, 0.0  # √((4 + 16 + 4) / 3); 1 and 2 are 1 apart for all
    assert spreads_of_margins(heads) == pytest.approx(
        np.array([[0, of_0, of_0], [of_0, 0, of_2], [of_0, of_2, 0]])
    )


@pytest.mark.parametrize("seed", range(10))
def test_bald_is_margin_std_where_rewards_are_small(seed):
    # log 2 - H(σ(x)) is x²/8 for small x, so information is an eighth of the variance
    heads = drawn(seed).heads
    tiny = information(heads * 1e-3)
    assert tiny == pytest.approx(spreads_of_margins(heads * 1e-3) ** 2 / 8, rel=1e-3, abs=1e-12)


def test_margin_std_asks_about_what_no_head_doubts_and_bald_does_not():
    given = believed([0.0] * 4, heads=[[30.0, 40.0], [0.0, 0.0], [50.0, 51.0], [51.0, 50.0]])
    assert choose("margin_std", given) == [0, 3]  # 21 and 10, but always 3
    assert choose("bald", given) == [2, 3]


def test_margin_std_leaves_errors_alone_that_two_rewards_share():
    # 0 and 1 are the least certain, and rise and fall together; info_max adds their spreads up.
    heads = np.array([[9.0, -9.0], [8.0, -8.0], [0.5, -0.5], [0.0, 0.0]])
    given = believed([0.0] * 4, heads.std(axis=1), heads)
    assert choose("info_max", given) == [0, 1]
    assert choose("margin_std", given) == [0, 3]


@pytest.mark.parametrize(
    ("heads", "pairs"),
    [
        # 0 over 1: 3 of 5 votes; 0 over 2: 5; 1 over 2: 4
        ([[3.0, 3, 3, 1, 1], [1.0, 1, 2, 2, 9], [0.0, 0, 0, 0, 0.5]], {(0, 1)}),
        ([[1.0, 1, 1, 0], [1.0, 1, 0, 1], [0.0, 0, 0, 0]], {(0, 1)}),  # ½, ½, 1 and 0 votes of 4
        ([[1.0, 1], [0.0, 0], [5.0, -5], [2.0, 2]], {(0, 2), (1, 2), (2, 3)}),  # one each
    ],
)
def test_vote_entropy_is_worked_out_by_hand(heads, pairs):
    given = believed([0.0] * len(heads), heads=heads)
    assert {tuple(choose("vote_entropy", given, seed)) for seed in range(40)} == pairs


@pytest.mark.parametrize("seed", range(10))
def test_entropy_is_vote_entropy_where_heads_are_sure(seed):
    given = drawn(seed)
    sure = replace(given, heads=given.heads * 1e6)
    equals = {tuple(choose("vote_entropy", given, lot)) for lot in range(60)}
    assert {tuple(choose("entropy", sure, lot)) for lot in range(60)} == equals


def test_info_gain_is_a_best_against_what_is_bounded_least_tightly_beside_it():
    # 0 is best in every draw. Beside it 1 is bounded by σ(1.5) = 0.818 and σ(4.5) = 0.989, and 2 by
    # σ(0.5) = 0.622 and σ(9.5); 1 and 2, by σ(-3) and σ(7), are what 'info_max' takes.
    given = believed([5.0, 2.0, 0.0], [0.5, 1.0, 4.0])
    assert {tuple(choose("info_gain", given, seed)) for seed in range(40)} == {(0, 2)}
    assert choose("info_max", given) == [1, 2]
    given = believed([5.0, 2.0, 0.0], [0.5, 1.0, 0.1])  # 2 by σ(4.4) and σ(5.6)
    assert {tuple(choose("info_gain", given, seed)) for seed in range(40)} == {(0, 1)}


def test_info_gain_without_width_is_the_best_against_any_other():
    given = believed([0.3, -1.0, 2.0, 0.0], [9, 0, 0, 9])
    pairs = {tuple(choose("info_gain", given, seed, beta=0.0)) for seed in range(60)}
    assert pairs == {(0, 2), (1, 2), (2, 3)}


def test_sea_is_a_heads_best_against_what_heads_compare_with_it_least():
    # 0 is best for all. Beside it 1 lies 9, 6, 9 lower (std 1.41), 2 8 always, 3 6, 8, 6 (0.94).
    heads = [[9.0, 9, 9], [0.0, 3, 0], [1.0, 1, 1], [3.0, 1, 3]]
    given = believed([0.0] * 4, heads=heads)
    assert {tuple(choose("sea", given, seed)) for seed in range(40)} == {(0, 1)}
    assert choose("margin_std", given) == [1, 3]  # -3, 2, -3: 2.36


def test_sea_begins_with_each_heads_best_as_often_as_heads_say_so():
    # Two of three find 0 best, one 1. Beside either, 2 is the least certain.
    heads = [[9.0, 9, 0], [0.0, 0, 9], [-40.0, 0, 0]]
    pairs = [tuple(choose("sea", believed([0.0] * 3, heads=heads), seed)) for seed in range(900)]
    assert pairs.count((0, 2)) / 900 == pytest.approx(2 / 3, abs=0.06)
    assert pairs.count((1, 2)) + pairs.count((0, 2)) == 900
