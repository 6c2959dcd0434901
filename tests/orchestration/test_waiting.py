"""Runs that wait for people: what they end with, and that the same command goes on."""

import shlex

import pytest

from flows.cli import AWAITING
from flows.desk.addresses import announced
from prefopt_core.labels.batch import open_batches
from prefopt_core.labels.store import LabelStore
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
    assert (status, "awaiting 1 label from people" in output) == (AWAITING, True)
    answer(store)
    status, output, _ = prefopt(*command)  # the second round asks for its own
    assert (status, "awaiting 4 labels from people" in output) == (AWAITING, True)
    answer(store)
    status, output, _ = prefopt(*command)
    assert (status, "policy " in output) == (0, True)


def test_without_a_server_it_ends_in_the_same_way(waiting, store, config_file, prefopt):
    command = ("run", config_file(waiting), "seed=3", "--no-server")
    status, output, errors = prefopt(*command)
    assert (status, errors) == (AWAITING, "")
    ((batch, _),) = open_batches(LabelStore.of(store))
    assert batch.name.startswith(f"{config_file(waiting).stem}-3-")
    said = output[output.index("awaiting") :].splitlines()
    assert said == [
        "awaiting 6 labels from people (0 of 6 are given)",
        f"  label:    prefopt annotate {batch.id}  (at http://127.0.0.1:8765)",
        f"  then:     prefopt {shlex.join(map(str, command))}",
    ]
    assert f"prefopt annotate {batch.id}  (6 labels to give)" in prefopt("show", batch.name)[1]
    with announced(store, batch, "http://127.0.0.1:9000"):
        _, output, _ = prefopt(*command)
        assert "  label:    http://127.0.0.1:9000  (served already)" in output
    _, output, _ = prefopt(*command)
    assert f"prefopt annotate {batch.id}" in output
    _, output, _ = prefopt("plan", *command[1:3])
    assert "13 of 13 labels; 6 labels wait for people" in output
