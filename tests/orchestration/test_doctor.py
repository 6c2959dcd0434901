"""`prefopt doctor`: what it prints, when it fails, and what it says of Prefect."""

import pytest

from flows.doctor import Check


@pytest.fixture(autouse=True)
def _deaf(monkeypatch):
    """Deaf to a server that happens to run on the usual port of this machine."""
    monkeypatch.setattr("flows.server.USUAL_URL", "http://127.0.0.1:9/api")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def prefect_check():
    from flows.verbs.doctor import prefect_server

    return lambda: next(iter(prefect_server()))


def test_a_machine_that_runs_these_tests_can_run_the_quickstart(prefopt, store):
    code, output, error = prefopt("doctor")
    assert (code, error) == (0, "")
    for what in ("Python", "packages", "vLLM", "store", "disk", "Prefect"):
        assert what in output
    assert not store.root.exists()


def test_what_stops_the_quickstart_fails_and_is_named(prefopt, write, monkeypatch):
    monkeypatch.setenv("PREFOPT_STORE", str(write("file", "") / "store"))
    code, output, error = prefopt("doctor")
    assert code == 2
    assert error == "prefopt: The quickstart cannot run here: mend store.\n"
    assert "\nstore: export PREFOPT_STORE=" in output


def test_no_prefect_server_is_no_problem(prefect_check):
    assert "starts its own" in prefect_check().found


def test_prefect_server_that_is_named_must_answer_and_its_password_stays_here(
    prefopt, store, monkeypatch
):
    monkeypatch.setenv("PREFECT_API_URL", "http://me:sesame@127.0.0.1:9/api")
    code, output, error = prefopt("doctor")
    assert code == 2
    assert "mend Prefect" in error
    assert "PREFECT_API_URL is http://127.0.0.1:9/api, which does not answer" in output
    assert "sesame" not in output + error


@pytest.mark.slow
def test_prefect_server_that_answers_says_its_version(prefect_check, server, monkeypatch):
    from importlib import metadata

    monkeypatch.setenv("PREFECT_API_URL", server)
    version = metadata.version("prefect")
    assert prefect_check() == Check("Prefect", "ok", f"{server} answers, Prefect {version}")
    monkeypatch.setattr("flows.verbs.doctor.metadata.version", lambda name: "2.0.1")
    check = prefect_check()
    assert (check.state, check.mend) == ("warning", f"pip install prefect=={version}")
