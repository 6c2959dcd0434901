"""What is said of changes that do more than they seem to."""

import logging

import pytest
import yaml
from pydantic import ValidationError

from flows.verbs.run import changes_of
from prefopt_core.experiments.sources import load_run, read_settings
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.ground.errors import ConfigError
from prefopt_core.store.runs import Run, recorded
from prefopt_core.store.store import Store


def test_a_section_that_a_change_replaces_is_told(caplog):
    load_run("quickstart", {"training": {"steps": 10}})
    assert "`training={…}` replaces the whole section" in caplog.text
    assert "the config says of `batch_size` and `learning_rate`" in caplog.text
    assert "`training.steps=…`" in caplog.text
    caplog.clear()
    load_run("quickstart", {"training.steps": 10})
    assert caplog.text == ""


def test_it_is_told_of_a_section_within_another_unless_its_settings_are_of_another_member(caplog):
    load_run("quickstart", {"prompts.params": {"count": 900}, "generation.params": {}})
    assert "`prompts.params={…}`" not in caplog.text  # nothing else is set there
    assert "`generation.params={…}` replaces the whole section" in caplog.text
    caplog.clear()
    load_run(
        "people",
        {"annotation.annotator": "function", "annotation.params": {"function": "helpdesk"}},
    )
    assert caplog.text == ""


def test_a_folder_in_place_of_its_config_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder\. Name the YAML file in it"):
        read_settings(str(tmp_path))


def test_a_file_that_is_nowhere_is_looked_for_beside_the_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    run = yaml.safe_load(yaml.safe_dump(read_settings("quickstart")[0]))
    run["prompts"] = {"source": "file", "params": {"path": "gone.jsonl"}}
    (tmp_path / "conf" / "run.yaml").write_text(yaml.safe_dump(run))
    _, config = load_run("conf/run.yaml", {})
    assert config.prompts.params["path"] == "conf/gone.jsonl"


def test_results_that_another_run_of_the_same_name_replaces_are_told(tmp_path, caplog):
    store = Store(tmp_path)
    for settings in ("a", "a"):
        run = Run(name="mine", flow="align", settings=settings, model="", started=0.0)
        with recorded(store, run):
            pass
    assert caplog.text == ""
    with recorded(store, run.model_copy(update={"settings": "b"})):
        pass
    assert "The run mine had other settings" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DEEP, r"^a is not YAML.*more than 100 deep"),
        ("[" * 200 + "]" * 200, r"more than 100 deep"),
        ("{[1]: 2}", r"a is not YAML, line 1: the name of a setting is a list or a section"),
        ("{{b: 1}: 2}", r"the name of a setting is a list or a section"),
        ("\x01", r"a is not YAML: unacceptable character"),
        ("2026-13-45", r"a is not YAML: month must be in 1\.\.12"),
    ],
)
def test_what_yaml_refuses_is_told_in_a_line(text, message):
    with pytest.raises(ConfigError, match=message) as told:
        read_yaml(text, "a")
    assert len(str(told.value).splitlines()) == 1


def test_a_long_value_that_cannot_be_read_is_not_repeated_whole():
    with pytest.raises(ConfigError) as told:
        changes_of([f"training.params={DEEP}"])
    assert len(str(told.value)) < 300


def test_a_name_that_no_folder_can_have_is_told(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        read_settings("x" * 300 + ".yaml")
    with pytest.raises(ValidationError, match="it has 300 characters; 200 may name a folder"):
        load_run("quickstart", {"name": "x" * 300})
    monkeypatch.chdir(tmp_path)
    stem = "x" * 250
    (tmp_path / f"{stem}.yaml").write_text(yaml.safe_dump(read_settings("quickstart")[0]))
    _, config = load_run(f"{stem}.yaml", {})
    assert len(config.name) < 250
