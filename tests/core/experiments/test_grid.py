"""What the preset of a comparison may say."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from prefopt_core.experiments.grid import Comparison, labels_of, load_comparison
from prefopt_core.ground.errors import ConfigError

ROOT = Path(__file__).parents[3]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


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
    from prefopt_core.experiments.sources import load_run

    cell = Comparison(**preset).cell("aepo", 7)
    (tmp_path / "cell.yaml").write_text(cell.settings())
    flow, config = load_run(str(tmp_path / "cell.yaml"), {})
    assert (flow, config.digest) == (cell.flow, cell.config.digest)


def test_a_run_is_named_after_its_file_and_what_differs_from_it(preset, tmp_path):
    from prefopt_core.experiments.sources import load_run

    cell = Comparison(**preset).cell("aepo", 7)
    file = tmp_path / "My run_2.yaml"
    file.write_text(cell.settings())

    def config(**changes):
        return load_run(str(file), changes)[1]

    assert re.fullmatch("my-run-2-7-[0-9a-f]{6}", config().name)
    assert config().name == config().name
    assert config().name != config(seed=8).name
    mine = config(name="mine")
    assert mine.name == "mine"
    assert mine.digest == config().digest
    assert mine.allowance == config().allowance  # the same run, whose labels are bought once
    with pytest.raises(ValidationError, match="Write 'my-run'"):
        config(name="My run!")


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


def test_a_change_goes_before_what_all_arms_share_and_behind_what_an_arm_says(preset, tmp_path):
    preset["common"] = {"generation": {"n": 5}, "training.learning_rate": 1e-3}
    preset["arms"]["gentle"] = {"training.learning_rate": 1e-5}
    path = tmp_path / "preset.yaml"
    path.write_text(yaml.safe_dump(preset))
    changes = {"generation.n": 6, "training.learning_rate": 1e-4}
    arms = {cell.arm: cell.config for cell in load_comparison(str(path), changes, seeds=1).cells()}
    assert {config.generation.n for config in arms.values()} == {6}
    rates = {arm: config.training.learning_rate for arm, config in arms.items()}
    assert rates == dict.fromkeys(arms, 1e-4) | {"gentle": 1e-5}


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
    with pytest.raises(ValidationError, match=r"Its 'evaluation' is .* takes from `gen"):
        Comparison(**preset)  # SPA samples at temperature 0.7
    preset["common"] = {"evaluation.generation.params.temperature": 1.0}
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
        ({"over": "generation.n"}, "over: Nothing runs over 'generation.n'; say in `lines`"),
        ({"lines": {"A": ["aepo"]}, "over": "generation.m"}, "generation.m of arm 'aepo' is None"),
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
