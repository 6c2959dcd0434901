"""Runs that wait for people: what they end with, and that the same command goes on."""

import pytest

from flows.cli import AWAITING
from tests.people import PEOPLE, answer


@pytest.fixture
def waiting(settings):
    """Settings of a run that asks people."""
    settings["annotation"] = PEOPLE
    return settings


@pytest.mark.slow
def test_a_run_ends_with_what_it_awaits_and_the_same_command_goes_on(
    waiting, store, server, config_file, monkeypatch, prefopt
):
    monkeypatch.setenv("PREFECT_API_URL", server)
    command = ("run", config_file(waiting))
    status, output, errors = prefopt(*command)
    assert (status, errors) == (AWAITING, "")
    assert "awaiting 6 labels from people" in output
    answer(store, most=5)
    status, output, _ = prefopt(*command)
    assert (status, "awaiting 1 labels from people" in output) == (AWAITING, True)
    answer(store)
    status, output, _ = prefopt(*command)  # the second round asks for its own
    assert (status, "awaiting 4 labels from people" in output) == (AWAITING, True)
    answer(store)
    status, output, _ = prefopt(*command)
    assert (status, "policy " in output) == (0, True)


def test_without_a_server_it_ends_in_the_same_way(waiting, store, config_file, prefopt):
    status, output, errors = prefopt("run", config_file(waiting), "--no-server")
    assert (status, errors) == (AWAITING, "")
    assert "awaiting 6 labels from people" in output
