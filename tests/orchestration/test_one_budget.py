"""The budget of a run that is not completed holds, also where its config is edited in between."""

from pathlib import Path

import pytest

from prefopt_core.labels.store import LabelStore


@pytest.fixture
def bought(store):
    return lambda: sum(count for *_, count in LabelStore(store.root).counts())


@pytest.fixture
def failing(given_candidates, write):
    """Settings of a run that buys 3 of its 8 labels, and then fails."""
    path = write("judge.py", "given = []\ndef score(prompt, response):\n    assert len(given) < 3\n"
                 "    given.append(1)\n    return float(len(response))\n")  # fmt: skip
    function = {"annotator": "function", "params": {"function": f"{path}:score"}}
    return given_candidates | {"annotation": function}


@pytest.mark.parametrize("named", [True, False])
def test_a_config_edited_after_a_failure_goes_on_with_what_is_left(
    given_candidates, failing, config_file, prefopt, bought, named, monkeypatch
):
    name = {"name": "mine"} if named else {}
    config = config_file(failing | name)
    assert prefopt("run", config, "--no-server")[0] != 0
    assert bought() == 3
    config_file(given_candidates | name)  # another judge, and all labels anew
    monkeypatch.chdir(Path(config).parent)  # where it is typed in another way
    for typed in (config, Path(config).name):
        assert "5 of 8 labels (3 bought" in " ".join(prefopt("plan", typed)[1].split())
    code, output, told = prefopt("run", config, "--no-server")
    assert code == 0, told
    assert "is not completed; its budget goes on" in " ".join((output + told).split())
    assert bought() == 3 + 4  # whole prompts, of two labels each
    # It is completed: what is edited now is another run, with a budget of its own.
    config_file(given_candidates | name | {"annotation": failing["annotation"] | {"name": "Mary"}})
    assert "left of the budget: 8 of 8" in prefopt("plan", config)[1].lower()


def test_another_name_command_or_prompts_have_their_own_budget(
    given_candidates, failing, config_file, prefopt, write
):
    assert prefopt("run", config_file(failing | {"name": "mine"}), "--no-server")[0] != 0
    other = config_file(given_candidates | {"name": "other"}, "other.yaml")
    changed = ("plan", config_file(failing), "seed=1")
    for command in (("plan", other), changed):
        assert "left of the budget: 8 of 8" in prefopt(*command)[1].lower()
    assert prefopt("run", config_file(failing), "--no-server")[0] != 0
    path = str(write("others.csv", "prompt,response\n" + "".join(f"Q,{i}\n" for i in range(8))))
    others = {"generation": {"generator": "file", "params": {"path": path}}}
    config = config_file(given_candidates | others)
    assert "left of the budget: 8 of 8" in prefopt("plan", config)[1].lower()
