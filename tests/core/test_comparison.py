"""Statistics over seeds, what a preset may say, and what is said of a comparison."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from scipy.stats import permutation_test

from prefopt_core.comparison import by_seed, collect, curve, differences, final, unequal
from prefopt_core.comparison_page import in_html, in_markdown, parts_of
from prefopt_core.errors import ConfigError
from prefopt_core.paired import EXACT, holm, interval_over_seeds, sign_flip_test, smallest_p
from prefopt_core.presets import Comparison, labels_of, load_comparison
from prefopt_core.tables import TABLES, check_table

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))

AGAINST_CHANCE = [("better", "chance"), ("same", "chance")]

few = st.integers(1, 9).flatmap(
    lambda n: arrays(float, n, elements=st.integers(-40, 40).map(lambda i: i / 10))
)


# --- the sign-flip test -----------------------------------------------------------------------


@given(few)
def test_p_is_that_of_scipy(differences):
    differences = np.rint(10 * differences)  # scipy takes sums that differ by rounding for unequal
    if len(differences) == 1:  # scipy wants two
        assert sign_flip_test(differences) == 1.0
        return
    expected = permutation_test(
        (differences,), lambda d, axis: np.abs(d.sum(axis)), permutation_type="samples",
        vectorized=True, n_resamples=np.inf, alternative="greater",
    )  # fmt: skip
    assert sign_flip_test(differences) == pytest.approx(expected.pvalue)


@given(few, st.randoms())
def test_p_knows_neither_order_nor_unit_nor_which_arm_is_which(differences, random):
    p = sign_flip_test(differences)
    shuffled = random.sample(differences.tolist(), len(differences))
    assert sign_flip_test(np.array(shuffled)) == p
    assert sign_flip_test(-differences) == p
    assert sign_flip_test(differences * 0.3) == p
    assert smallest_p(len(differences)) <= p <= 1


@pytest.mark.parametrize("n", [1, 5, 10, EXACT, EXACT + 4])
def test_the_smallest_p_is_that_of_seeds_that_all_agree(n):
    p = sign_flip_test(np.arange(1.0, n + 1))
    assert p == pytest.approx(smallest_p(n), abs=2**-15 if n > EXACT else 0)


def test_p_is_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(0)
    p = np.array([sign_flip_test(rng.standard_t(3, size=8)) for _ in range(2000)])
    for level in (0.05, 0.25, 0.5, 0.75):
        allowed = np.floor(level * 128) / 128  # p is a multiple of 2/2⁸
        assert np.mean(p <= level) == pytest.approx(allowed, abs=0.03)


# --- Holm's correction ------------------------------------------------------------------------


@given(arrays(float, st.integers(1, 8), elements=st.floats(0, 1)), st.randoms())
def test_holm_lies_between_no_correction_and_bonferronis(p_values, random):
    corrected = holm(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(1, len(p_values) * p_values)).all()
    assert corrected.min() == pytest.approx(min(1, len(p_values) * p_values.min()))
    order = random.sample(range(len(p_values)), len(p_values))
    assert (holm(p_values[order]) == corrected[order]).all()
    by_size = np.argsort(p_values, kind="stable")
    assert (np.diff(corrected[by_size]) >= 0).all()


# --- intervals over seeds ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "draw", "at_least"),
    [
        (10, "normal", 0.93),
        (10, "uniform", 0.93),
        (6, "normal", 0.92),
        (10, "exponential", 0.88),  # no interval of ten skewed values does better
    ],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(n, draw, at_least):
    rng = np.random.default_rng(0)
    truth = {"normal": 0.0, "uniform": 0.5, "exponential": 1.0}[draw]
    held = 0
    for seed in range(500):
        low, high = interval_over_seeds(getattr(rng, draw)(size=n), seed=seed)
        held += low <= truth <= high
    assert at_least <= held / 500 <= 0.98


@given(few, st.integers(-5, 5))
def test_the_interval_lies_within_the_values_and_moves_with_them(values, shift):
    interval = interval_over_seeds(values, seed=1)
    if len(values) == 1:
        assert interval is None
        return
    low, high = interval
    assert values.min() - 1e-9 <= low <= values.mean() + 1e-9
    assert values.mean() - 1e-9 <= high <= values.max() + 1e-9
    assert interval_over_seeds(values + shift, seed=1) == pytest.approx((low + shift, high + shift))


# --- what a preset may say --------------------------------------------------------------------


@pytest.fixture
def preset():
    """The tiny one, to be changed at will."""
    return yaml.safe_load((ROOT / "presets" / "tiny.yaml").read_text())


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_valid(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    comparison = load_comparison(str(path), {})
    cells = list(comparison.cells())
    assert len(cells) == comparison.seeds * len(comparison.arms)
    assert comparison.claim
    assert comparison.title


def test_cells_come_seed_by_seed(preset):
    cells = Comparison(**preset, first_seed=3).cells()
    assert [cell.name for cell in cells] == [
        "random, seed 3", "aepo, seed 3", "random, seed 4", "aepo, seed 4"
    ]  # fmt: skip


def test_arms_differ_in_what_they_say_and_in_nothing_else(preset):
    one, other = (Comparison(**preset).cell(arm, 0).config for arm in ("random", "aepo"))
    assert one.selection.strategy == "random"
    assert one.model_copy(update={"selection": other.selection}) == other


def test_a_cell_alone_is_a_run(preset, tmp_path):
    from prefopt_core.runs import load_run

    cell = Comparison(**preset).cell("aepo", 7)
    (tmp_path / "cell.yaml").write_text(cell.settings())
    assert load_run(str(tmp_path / "cell.yaml"), {}) == (cell.flow, cell.config)


def test_changes_reach_every_arm_and_the_base_may_be_a_file(preset, tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text(yaml.safe_dump(preset["base"]))
    path = tmp_path / "preset.yaml"
    path.write_text(yaml.safe_dump(preset | {"base": str(base)}))
    comparison = load_comparison(str(path), {"generation.n": 6}, seeds=1)
    assert [cell.config.generation.n for cell in comparison.cells()] == [6, 6]
    path.write_text(base.read_text())
    with pytest.raises(ConfigError, match="a run, not a comparison"):
        load_comparison(str(path), {})
    with pytest.raises(ConfigError, match="--first-seed"):
        load_comparison(str(path), {"seed": 1})


def test_an_arm_of_another_flow_leaves_out_what_that_flow_does_not_know(preset):
    preset["arms"]["once"] = {"flow": "aepo"}
    cell = Comparison(**preset).cell("once", 0)
    assert cell.flow == "aepo"
    assert labels_of(cell.config) == 12
    preset["arms"]["once"]["rounds.0.labels"] = 4  # but what the arm itself says must be known
    with pytest.raises(ValidationError, match="arm once: There is no setting 'rounds'"):
        Comparison(**preset)


def test_given_pairs_count_two_labels_each(preset, write):
    seed = [{"prompt": f"Prompt {i}?", "chosen": "Yes.", "rejected": "No."} for i in range(6)]
    spa = {"flow": "spa", "seed_preferences.path": str(write("seed.jsonl", seed))}
    spa["rounds"] = [{"prompts": 4}]
    preset["arms"]["spa"] = spa
    assert labels_of(Comparison(**preset).cell("spa", 0).config) == 12
    spa["seed_preferences.path"] = str(write("fewer.jsonl", seed[1:]))
    with pytest.raises(ValidationError, match="arm spa: It may use 10 labels and 'random' 12"):
        Comparison(**preset)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"baseline": "randum"}, "baseline: There is no arm 'randum'. Did you mean 'random'"),
        ({"arms": {"random": {}}}, "at least two"),
        ({"arms": {"random": {}, "b": {"selection.kk": 3}}}, "arm b: selection: There is no set"),
        ({"arms": {"random": {}, "b": {"selection.k": 9}}}, "arm b: Cannot select k=9 of N=4"),
        ({"arms": {"random": {}, "b": {"flow": "alighn"}}}, "arm b: There is no flow 'alighn'"),
        ({"arms": {"random": {}, "b": {"seed": 3}}}, "arm b: All arms run with the same seeds"),
        ({"arms": {"random": {}, "b": {"rounds.0.labels": 4}}}, "arm b: It may use 8 labels and"),
        ({"arms": {"random": {}, "b": {"evaluation": None}}}, "arm b: Without `evaluation`"),
        ({"arms": {"random": {}, "b": {"evaluation.prompts": 8}}}, "arm b: Its 'evaluation' is"),
        ({"arms": {"random": {}, "b": {"policy.params.steps": 5}}}, "arm b: Its 'policy' is not"),
        ({"other_budget": {"aepp": "why"}}, "other_budget: There is no arm 'aepp'"),
        ({"against": {"aepp": "random"}}, "against: There is no arm 'aepp'. Did you mean 'aepo'"),
        ({"against": {"aepo": "randum"}}, "against: There is no arm 'randum'. Did you mean"),
        ({"lines": {"AEPO": ["aepo", "aepp"]}}, "lines: There is no arm 'aepp'. Did you mean"),
        ({"common": {"selection.kk": 3}}, "arm random: selection: There is no setting 'kk'"),
        ({"common": {"seed": 3}}, "arm random: All arms run with the same seeds"),
        ({"arm": {}}, "There is no setting 'arm'. Did you mean 'arms'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told_before_anything_runs(preset, changes, said):
    with pytest.raises(ValidationError) as caught:
        Comparison(**preset | changes)
    assert said in str(caught.value)


def test_another_budget_needs_a_reason(preset):
    preset["arms"]["b"] = {"rounds.0.labels": 4}
    with pytest.raises(ValidationError, match="other_budget"):
        Comparison(**preset)
    Comparison(**preset, other_budget={"b": "half of the labels"})


# --- what it came to --------------------------------------------------------------------------


def run(values, labels=(0, 8, 4), pairs=(None, 4, 2)):
    """A `metrics` table of a run with these win rates after round 1, 2, …"""
    rows = []
    for number, (bought, made) in enumerate(zip(labels, pairs, strict=True)):
        rows.append((number, "labels", float(bought), None, None, bought))
        rows.append((number, "gold_score", number + 0.5, 0.0, 9.0, 10))
        if made is not None:
            rows.append((number, "win_rate", values[number - 1], 0.0, 1.0, 10))
            rows.append((number, "gold_pairs", float(made), None, None, made))
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


@pytest.fixture
def compared():
    """Seven seeds; `better` is 5 points better in each, `same` is as often worse."""
    runs, arms, seeds = [], [], []
    for seed in range(7):
        level = 0.5 + seed / 50
        sign = (-1) ** seed
        for arm, more in (("chance", 0.0), ("better", 0.05 + seed / 1000), ("same", 0.02 * sign)):
            runs.append(run([0.5, level + more]))
            arms.append(arm)
            seeds.append(seed)
    return collect(runs, arms, seeds, [2] * len(runs))


def test_the_table_holds_every_figure_once_and_labels_add_up(compared):
    assert check_table("comparison", compared).height == 7 * 3 * 10
    one = compared.filter(pl.col("arm") == "same", pl.col("seed") == 2)
    assert dict(one.select("round", "labels").iter_rows()) == {0: 0, 1: 8, 2: 12}
    assert set(one["metric"]) == {"labels", "gold_score", "win_rate", "gold_pairs"}


def test_labels_that_were_given_as_pairs_count_too():
    given = collect([run([0.5, 0.6, 0.6], (0, 0, 0), (None, 6, 0))], ["spa"], [0], [2])
    assert by_seed(given, "spa", "win_rate")["labels"].to_list() == [12]


@pytest.mark.parametrize(("kept", "win_rate"), [(2, 0.55), (1, 0.6), (0, 0.5)])
def test_an_arm_counts_by_the_round_it_returned_and_by_all_labels_it_took(kept, win_rate):
    runs = [run([0.6, 0.55])] * 2
    table = check_table("comparison", collect(runs, ["best", "best"], [0, 1], [kept, 2]))
    assert by_seed(table, "best", "win_rate").row(0) == (0, win_rate, 12)
    assert [point.labels for point in curve(table, "best", "win_rate")][:1] == [0]
    assert len(curve(table, "best", "win_rate")) == 3


def test_a_curve_ends_where_the_runs_ended_and_not_where_the_best_of_them_did():
    table = collect([run([0.6, 0.4]), run([0.6, 0.9])], ["best", "best"], [0, 1], [1, 2])
    points = curve(table, "best", "win_rate")
    assert [(point.value, point.n) for point in points] == [(0.5, 2), (0.6, 2), (0.75, 2)]
    assert points[-1] == final(table, "best", "win_rate")


def test_the_last_round_and_the_way_to_it(compared):
    point = final(compared, "chance", "win_rate")
    assert (point.labels, point.n) == (12, 7)
    assert point.value == pytest.approx(0.56)
    way = curve(compared, "chance", "win_rate")
    assert [(p.labels, p.value) for p in way[:2]] == [(0, 0.5), (8, 0.5)]
    assert way[2] == point
    assert [p.labels for p in curve(compared, "chance", "gold_score")] == [0, 8, 12]


def test_differences_are_paired_by_seed(compared):
    better, same = differences(compared, AGAINST_CHANCE, "win_rate")
    assert better.by_seed == pytest.approx(0.05 + np.arange(7) / 1000)
    assert (better.p, better.p_corrected) == (2**-6, 2**-5)
    assert (better.verdict, same.verdict) == ("higher", "no difference seen")
    # seeds that differ by far more than the arms take nothing away from that
    low, high = better.interval
    assert 0.05 < low < better.mean < high < 0.056
    shuffled = compared.sample(fraction=1, shuffle=True, seed=0).sort(
        pl.col("arm").replace_strict({"chance": 0, "better": 1, "same": 2}), maintain_order=True
    )
    again = differences(shuffled, AGAINST_CHANCE, "win_rate")
    assert [(d.arm, d.interval, d.p) for d in again] == [
        (d.arm, d.interval, d.p) for d in (better, same)
    ]


def test_few_seeds_settle_nothing(compared):
    five = compared.filter(pl.col("seed") < 5)
    better, _ = differences(five, AGAINST_CHANCE, "win_rate")
    assert better.interval[0] > 0
    assert better.verdict == "not settled"
    one = differences(compared.filter(pl.col("seed") == 0), AGAINST_CHANCE, "win_rate")
    assert {d.verdict for d in one} == {"one seed says nothing"}


def test_unequal_labels_are_marked_and_explained(preset):
    runs = [run([0.5, 0.6]), run([0.5, 0.7], (0, 8, 0), (None, 4, 0))]
    table = collect(runs * 2, ["random", "aepo"] * 2, [0, 0, 1, 1], [1, 2, 1, 2])
    assert unequal(table, [("aepo", "random")]) == [("aepo", "random")]
    for why in ({}, {"aepo": "because"}):
        text = in_markdown(parts_of(table, Comparison(**preset, other_budget=why)), "Title")
        assert "| aepo | 2 | 8 ≠ |" in text
        assert ("aepo: because." in text) == bool(why)
        assert "≠ Not the labels of what it is compared with" in text


def test_the_page_shows_intervals_verdicts_and_plots(compared, preset):
    preset |= {"arms": {"chance": {}, "better": {}, "same": {}}, "baseline": "chance"}
    parts = parts_of(compared, Comparison(**preset | {"claim": "<b> is better"}))
    text = in_markdown(parts, "Title")
    assert "| chance (baseline) | 7 | 12 | 56.0 % [" in text
    assert "| better | chance | win rate | +5.3 [+5." in text
    assert "| same | chance | win rate | +0.3 [-" in text
    assert "no difference seen" in text
    assert "p cannot be below 0.016, corrected 0.031" in text
    assert len(text.encode()) < 100_000  # what Prefect takes
    page = in_html(parts, "Title", "seeds: 7")
    assert page.count("data:image/png") == 2
    assert "&lt;b&gt; is better" in page
