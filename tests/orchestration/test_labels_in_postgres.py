"""Two machines, each with a store of its own, whose labels and responses lie in one database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefopt_core.labels.store import LabelStore
from prefopt_core.store.postgres import database_at
from tests.object_server import object_server

pytestmark = pytest.mark.slow


@pytest.fixture
def database(postgres, monkeypatch):
    """Name an empty database in the environment, the password apart; returns it."""
    name = str(postgres.database()).rpartition("/")[2]
    monkeypatch.setenv("PREFOPT_LABELS", postgres.url(name))
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    return database_at(postgres.url(name))


@pytest.fixture
def machine(tmp_path, monkeypatch):
    def machine(name):
        monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / name))

    machine("a")
    return machine


@pytest.fixture
def stand_in(monkeypatch):
    with object_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def paid(given_candidates, scorer, tmp_path, monkeypatch):
    """Settings of a run whose labels cost something; and how many were paid for so far."""
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    given_candidates["annotation"]["params"] = {"function": f"{scorer}:score"}
    given_candidates["annotation"]["price"] = 0.25
    calls = tmp_path / "calls"
    return given_candidates, lambda: len(calls.read_text().splitlines()) if calls.exists() else 0


def test_what_one_machine_bought_another_finds_and_the_verbs_know_where_it_is(
    database, machine, postgres, paid, prefopt, config_file, tmp_path, stand_in
):
    settings, calls = paid
    config = config_file(settings)
    said = [*map(str, prefopt("run", config, "--no-server"))]
    assert calls() == 8
    machine("b")
    said += map(str, prefopt("run", config, "--no-server"))
    assert "8 labels" in said[-2]
    assert calls() == 8
    assert not [*tmp_path.rglob("labels.sqlite"), *tmp_path.rglob("responses.sqlite")]
    said += map(str, prefopt("labels", "ls"))
    assert "8 labels" in said[-2]
    for verb in (("cache", "ls"), ("doctor",), ("cache", "push", "s3://bucket/labels")):
        said += map(str, prefopt(*verb))
        assert str(database) in said[-2]
    file = tmp_path / "labels.csv"
    assert prefopt("labels", "export", file, "--verdicts")[0] == 0
    assert file.read_text().count("Answer") >= 8
    code, _, error = prefopt("run", config, "budget=6", "seed=1", "--no-server")
    assert (code, calls()) == (0, 8), error  # of another budget, and with what is known
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert postgres.password not in "".join(said)
    assert not any(postgres.password.encode() in content for content in files)


def test_a_changed_label_is_found_taken_out_and_put_back(
    database, machine, postgres, paid, prefopt, config_file
):
    settings, calls = paid
    assert prefopt("run", config_file(settings), "--no-server")[0] == 0
    before = LabelStore(database).counts()
    name = str(database).rpartition("/")[2]
    postgres.run("UPDATE prefopt.verdicts SET said = '{\"scores\": [99.0]}'", name)
    code, _, told = prefopt("labels", "verify")
    assert (code, f"8 of 8 labels in {database} were changed" in " ".join(told.split())) == (
        2,
        True,
    )
    code, output, _ = prefopt("labels", "rebuild", "--yes")
    assert (code, "8 labels put back" in output) == (0, True)
    assert "tables prefopt.…_" in output
    assert prefopt("labels", "verify")[0] == 0
    assert LabelStore(database).counts() == before
    assert calls() == 8


def test_a_server_that_does_not_answer_is_told_before_the_run_in_one_line(
    database, machine, postgres, paid, prefopt, config_file, tmp_path
):
    settings, calls = paid
    postgres.stop()
    try:
        code, _, error = prefopt("run", config_file(settings), "--no-server")
        assert (code, error.count("\n"), calls()) == (2, 1, 0)
        assert f"Cannot use the labels in {database}: connection failed" in error
        assert "Once the server answers, run the same command again." in error
        assert not [*tmp_path.rglob("manifests/*/*.json")]
        assert "connection failed" in prefopt("doctor")[1]
    finally:
        postgres.start()
    assert prefopt("run", config_file(settings), "--no-server")[0] == 0


def test_a_server_that_goes_away_in_the_middle_loses_nothing_that_was_kept(
    database, machine, postgres, paid, config_file
):
    settings, calls = paid
    settings["annotation"]["params"]["function"] = slow_scorer(Path(os.environ["CALLS"]).parent)
    command = [sys.executable, "-m", "flows.cli", "run", str(config_file(settings)), "--no-server"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while calls() < 4 and run.poll() is None:
        pass
    postgres.stop()
    try:
        _, error = run.communicate(timeout=120)
        assert run.returncode == 2
        assert error.count("prefopt: ") == 1, error
        assert "Traceback" not in error
        assert f"Cannot use the labels in {database}: " in error
    finally:
        postgres.start()
    asked = calls()
    kept = sum(count for *_, count in LabelStore(database).counts())
    assert asked - 1 <= kept <= asked
    assert subprocess.run(command, timeout=120).returncode == 0
    assert calls() == asked + 8 - kept
    assert sum(count for *_, count in LabelStore(database).counts()) == 8


def slow_scorer(folder):
    (folder / "slow.py").write_text(
        "import os, time\n\n\n"
        "def score(prompt, response):\n"
        "    with open(os.environ['CALLS'], 'a') as file:\n"
        "        print(repr(response), file=file)\n"
        "    time.sleep(0.5)\n"
        "    return float(sum(map(ord, response)) % 17)\n"
    )
    return f"{folder / 'slow.py'}:score"


def test_responses_that_one_machine_bought_are_not_bought_by_another(
    database, machine, prefopt, given_candidates, prompts_file, config_file, loopback
):
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    words = ["Load the tray", "Open the settings", "Choose account", "Close it"]
    loopback.behave = lambda request, time: (
        200,
        loopback.answer(request, [f"{word}." for word in words[: request.get("n", 1)]], "stop"),
    )
    params = {"base_url": loopback.url, "model_name": "m", "max_new_tokens": 8}
    config = config_file(
        given_candidates
        | {
            "generation": {"generator": "openai", "n": 4, "params": params},
            "prompts": {"params": {"path": str(prompts_file)}, "shard_size": 12},
            "budget": 48,
        }
    )
    assert prefopt("run", config, "--no-server")[0] == 0
    asked = len(loopback.asked)
    assert asked
    machine("b")
    assert prefopt("run", config, "--no-server")[0] == 0
    assert len(loopback.asked) == asked
    assert "96 responses of m" in prefopt("cache", "ls")[1]
