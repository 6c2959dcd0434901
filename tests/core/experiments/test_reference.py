"""The reference of settings is that of this code, and editors' schema agrees with the configs."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from prefopt_core.experiments.families import FAMILIES
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.reference import PAGE, page, texts
from prefopt_core.experiments.schema import schema, sections_of

ROOT = Path(__file__).parents[3]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
POOL = {"generator": "file", "params": {"path": "pool.jsonl"}}
RUN = {"flow": "aepo", "generation": POOL, "annotation": {"annotator": "replay"}, "budget": 4}
RUN["annotation"] |= {"params": {"path": "pool.jsonl"}}


@pytest.mark.parametrize("name", [PAGE, "prefopt.schema.json"])
def test_written_files_are_current(name):
    written = ROOT / "docs" / name
    current = written.exists() and written.read_text(encoding="utf-8") == texts()[name]
    assert current, f"docs/{name} is not what the code says. Write it again: make reference"


def test_page_names_every_setting_of_every_section_and_member():
    text = page()
    for kind in (s for config in CONFIGS.values() for s in sections_of(config)):
        assert all(f"`{name}`" in text for name in kind.model_fields)
    for registry in FAMILIES.values():
        for name in registry:
            assert f"`{name}`" in text
            assert all(f"| `{setting}` |" in text for setting in registry.settings(name))


def test_page_says_what_docstrings_say_of_settings_and_which_change_speed_only():
    lines = page().splitlines()
    assert any(line.startswith("| `window` | whole number ≥ 2 | `50` | Pairs in") for line in lines)
    assert any(line.startswith("| `enforce_eager`") and "*Speed only.*" in line for line in lines)
    assert "| `learning_rate` | number > 0 | `5.0e-7` | Peak; 1e-6 with LoRA in AEPO. |" in lines


def test_every_setting_of_every_section_and_member_has_a_meaning():
    heading, silent = "", []
    for line in page().splitlines():
        heading = line if line.startswith("#") else heading
        if re.match(r"\| \[?`", line):
            setting, *_, meaning = re.split(r"(?<!\\)\|", line.strip("|"))
            if not re.sub(r"\*(Path|Speed only)\.\*", "", meaning).strip():
                silent.append(f"{heading}: {setting.strip()}")
    assert not silent, f"without a meaning, which an `Args:` entry gives: {silent}"


def errors(run):
    return [e.message for e in jsonschema.Draft7Validator(schema()).iter_errors(run)]


def test_schema_is_one():
    jsonschema.Draft7Validator.check_schema(schema())


@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: entry["name"])
def test_schema_takes_what_is_shipped(entry):
    assert errors(entry["parameters"]["config"]) == []


def test_a_file_of_candidates_needs_no_prompts():
    assert errors(RUN) == []
    assert "'prompts' is a required property" in errors(RUN | {"generation": {}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flow": "aipo"}, "'aipo' is not one of ['aepo', 'align', 'spa', 'spin']"),
        ({"buget": 4}, "('buget' was unexpected)"),
        ({"selection": {"strategy": "nearest"}}, "'nearest' is not one of"),
        ({"selection": {"k": 1}}, "1 is less than the minimum of 2"),
        ({"selection": {"params": {"lambda": 1}}}, "('lambda' was unexpected)"),
        ({"generation": {"generator": "vllm", "params": {"dtype": "int8"}}}, "'int8' is not one"),
        ({"annotation": {"annotator": "function"}}, "'params' is a required property"),
    ],
)
def test_schema_refuses_what_a_run_would(change, message):
    assert any(message in error for error in errors(RUN | change)), errors(RUN | change)
