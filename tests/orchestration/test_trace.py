"""`prefopt trace`: from an exported row back to what it was made of, by the store alone."""

import json
import re

import pytest


@pytest.fixture
def exported(prefopt, finished, tmp_path):
    """The rows of an export of a finished run, and the file."""
    assert prefopt("export", tmp_path / "out", "--format", "jsonl")[0] == 0
    file = tmp_path / "out" / "train.jsonl"
    return [json.loads(line) for line in file.open()], file


def test_a_row_is_followed_back_to_its_prompt(prefopt, exported):
    rows, file = exported
    number = next(n for n, row in enumerate(rows) if row["source"] == "gold")
    code, output, _ = prefopt("trace", f"{file}:{number + 1}")
    assert code == 0
    titles = [line for line in output.splitlines() if not line.startswith("  ")]
    assert [re.split(r"\W", title)[0] for title in titles] == [
        "pair", "verdict", "verdict", "selection", "generation", "policy", "prompts", "prompts",
        "run",
    ]  # fmt: skip
    assert titles[0] == f"pair {rows[number]['pair_id']}"
    assert rows[number]["chosen"][0]["content"] in output
    scores = dict(re.findall(r"1: (\w+)\n  answer +given, scores (\S+)", output))
    assert float(scores["chosen"]) - float(scores["rejected"]) == rows[number]["margin"]
    assert "strategy aepo, k 2" in output
    assert re.search(r"^  prompts +path \S+prompts\.csv, ", output, re.MULTILINE)
    assert re.search(r"chosen +sample \d of 4 by \w{12}, ", output)
    assert prefopt("trace", rows[number]["pair_id"])[1] == output
    assert prefopt("trace", rows[number]["pair_id"][:9])[1] == output


def test_a_pair_that_the_policy_judged_is_followed_to_the_policy_that_round_1_made(
    prefopt, exported
):
    rows, _ = exported
    row = next(row for row in rows if row["source"] == "self")
    _, output, _ = prefopt("trace", row["pair_id"])
    assert "verdict by policy" in output
    assert "stage train version" in output
    assert "drawn for     round 2" in output


def test_what_is_no_row_is_refused(prefopt, exported):
    rows, file = exported
    for row, said in {
        "pair 3": "is no row: write a `pair_id`",
        "abcdef": "No table of pairs in the store .* has the pair 'abcdef'",
        f"{file}:0": f"has no row 0: its {len(rows)} rows count from 1",
        f"{file}:{len(rows) + 1}": f"has no row {len(rows) + 1}: its",
        f"{file}.gone:0": "cannot be read as a file of `prefopt export`",
    }.items():
        code, _, error = prefopt("trace", row)
        assert code == 2
        assert re.search(said, error)
        assert error.count("\n") == 1


@pytest.mark.parametrize("stage", ["select", "generate", "annotate", "load_prompts"])
def test_what_was_removed_is_named(prefopt, exported, stage):
    rows, _ = exported
    assert prefopt("cache", "rm", stage)[0] == 0
    code, _, error = prefopt("trace", rows[0]["pair_id"])
    assert code == 2
    assert "no longer knows how" in error
    assert "makes it again" in error


@pytest.mark.slow
def test_a_pair_against_the_policys_own_response_leads_to_the_labels(
    prefopt, settings, config_file, store, tmp_path
):
    del settings["rounds"]
    file = config_file(settings | {"flow": "spin", "iterations": 1})
    assert prefopt("run", file, "--no-server", "--quiet")[0] == 0
    code, output, _ = prefopt("export", tmp_path / "out", "--format", "jsonl")
    assert code == 0
    assert "annotator function" in (tmp_path / "out" / "README.md").read_text()
    rows = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").open()]
    row = next(row for row in rows if row["round"] == 2)
    code, output, _ = prefopt("trace", row["pair_id"])
    assert code == 0
    assert re.search(r"^  rejected +sample 0 of 1 by \w{12}", output, re.MULTILINE)
    assert "chosen: that of a labelled pair" in output
    assert output.count("verdict by function") == 2


@pytest.mark.slow
def test_pairs_of_given_candidates_lead_to_their_file(
    prefopt, given_candidates, config_file, store, tmp_path
):
    assert prefopt("run", config_file(given_candidates), "--no-server", "--quiet")[0] == 0
    code, output, _ = prefopt("export", tmp_path / "out", "--format", "jsonl")
    assert code == 0
    assert [path.name for path in tmp_path.glob("out/*.jsonl")] == [
        "train.jsonl"
    ]  # nothing held out
    code, output, _ = prefopt("trace", f"{tmp_path / 'out' / 'train.jsonl'}:1")
    assert code == 0
    assert "from a file" in output
    assert "generator file" in output
    code, _, error = prefopt("export", tmp_path / "model", "--policy")
    assert code == 2
    assert "has no policy" in error
