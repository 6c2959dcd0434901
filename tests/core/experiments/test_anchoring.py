"""Paths in a config start from its own folder, those that are typed from the working folder."""

import pytest
import yaml

from prefopt_core.experiments.grid import load_comparison
from prefopt_core.experiments.sources import load_run
from prefopt_core.ground.errors import ConfigError

JUDGE = {"annotator": "function", "params": {"function": "judge.py:score"}}
RUN = {
    "flow": "align",
    "policy": {"source": "pretrained", "params": {"path": "model"}},
    "prompts": {"params": {"path": "prompts.jsonl"}},
    "annotation": JUDGE,
    "budget": 4,
    "rounds": [{"prompts": 2, "labels": 4}],
    "evaluation": JUDGE | {"prompts": 2},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder `conf` with a config and its files, seen from the folder around it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf"
    (folder / "model").mkdir(parents=True)
    (folder / "prompts.jsonl").write_text('{"prompt": "hi"}\n')
    (folder / "judge.py").write_text("def score(prompt, response): return 0\n")
    (folder / "run.yaml").write_text(yaml.safe_dump(RUN))
    return folder


def test_every_path_of_a_config_starts_from_its_folder(project):
    _, config = load_run("conf/run.yaml", {})
    assert config.policy.params["path"] == "conf/model"
    assert config.prompts.params["path"] == "conf/prompts.jsonl"
    assert config.annotation.params["function"] == "conf/judge.py:score"
    assert config.evaluation.params["function"] == "conf/judge.py:score"


def test_paths_stay_as_they_are_in_the_folder_of_the_config(project, monkeypatch):
    monkeypatch.chdir(project)
    _, config = load_run("run.yaml", {})
    assert config.prompts.params["path"] == "prompts.jsonl"


def test_a_typed_path_starts_from_the_working_folder(project):
    (project.parent / "others.jsonl").write_text('{"prompt": "ho"}\n')
    _, config = load_run("conf/run.yaml", {"prompts.params.path": "others.jsonl"})
    assert config.prompts.params["path"] == "others.jsonl"


def test_names_that_are_no_files_stay_names(project):
    run = RUN | {"policy": {"params": {"path": "org/model-0.5b"}}}
    run |= {"annotation": {"annotator": "function", "params": {"function": "helpdesk"}}}
    (project / "helpdesk").mkdir()
    (project / "run.yaml").write_text(yaml.safe_dump(run))
    _, config = load_run("conf/run.yaml", {})
    assert config.policy.params["path"] == "org/model-0.5b"
    assert config.annotation.params["function"] == "helpdesk"


def test_a_file_that_is_only_in_the_working_folder_is_refused(project):
    (project / "prompts.jsonl").rename(project.parent / "prompts.jsonl")
    with pytest.raises(ConfigError, match=r"no 'prompts\.jsonl' in conf, .*working folder"):
        load_run("conf/run.yaml", {})


def test_a_budget_is_the_same_from_every_folder(project, monkeypatch):
    _, seen_from_outside = load_run("conf/run.yaml", {})
    account = seen_from_outside.allowance.account
    monkeypatch.chdir(project)
    _, seen_from_inside = load_run("run.yaml", {})
    assert seen_from_inside.allowance.account == account


def test_arms_and_base_of_a_comparison_start_from_their_own_folders(project):
    (project / "presets").mkdir()
    (project / "presets" / "strict.py").write_text("def score(prompt, response): return 1\n")
    preset = {
        "base": "../run.yaml",
        "baseline": "mild",
        "arms": {"mild": {}, "strict": {"annotation.params.function": "strict.py:score"}},
    }
    (project / "presets" / "judges.yaml").write_text(yaml.safe_dump(preset))
    mild, strict = load_comparison("conf/presets/judges.yaml", {}).of_seed(0)
    assert mild.config.annotation.params["function"] == "conf/presets/../judge.py:score"
    assert strict.config.annotation.params["function"] == "conf/presets/strict.py:score"


@pytest.mark.parametrize("name", ["quickstart", "people"])
def test_runs_that_come_with_prefopt_are_found_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_run(name, {})[0] == "align"


def test_presets_that_come_with_prefopt_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_comparison("tiny", {}).baseline == "random"
    with pytest.raises(ConfigError, match=r"`prefopt compare tiny`"):
        load_run("tiny", {})


def test_a_run_of_a_comparison_is_left_as_a_file_that_runs_from_any_folder(project, monkeypatch):
    preset = {"base": "run.yaml", "arms": {"one": {}, "two": {}}, "baseline": "one"}
    (project / "preset.yaml").write_text(yaml.safe_dump(preset))
    cell = load_comparison("conf/preset.yaml", {}).of_seed(0)[0]
    account = cell.config.allowance.account
    elsewhere = project.parent / "store" / "runs"
    elsewhere.mkdir(parents=True)
    (elsewhere / "one.yaml").write_text(cell.settings())
    for folder in (project.parent, project, elsewhere):
        monkeypatch.chdir(folder)
        _, alone = load_run(str(elsewhere / "one.yaml"), {})
        assert alone.annotation.params["function"] == f"{project / 'judge.py'}:score"
        assert alone.allowance.account == account
