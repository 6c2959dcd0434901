"""A slice of `python -m benchmarks.faults`, and that it finds what it is there to find."""

import pytest

from benchmarks.faults.campaign import tried
from benchmarks.faults.kinds import KINDS, drawn
from benchmarks.faults.loop import undisturbed


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("faults").resolve())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kill", "object-flipped", "ledger"])
def test_a_fault_leaves_what_an_undisturbed_run_leaves(loop, name):
    outcome = tried(loop, name, 0, "", keep=False)
    assert outcome.problems == ()
    assert outcome.where


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "name", "finding"),
    [("digests", "object-flipped", "not whole"), ("labels", "kill", "were bought twice")],
)
def test_a_defect_in_the_code_is_found(loop, defect, name, finding):
    outcomes = (tried(loop, name, seed, defect, keep=False) for seed in range(4))
    assert any(finding in problem for outcome in outcomes for problem in outcome.problems)


def test_faults_are_drawn_by_a_seed_of_each_kind_as_its_weight_says():
    names = list(KINDS)
    faults = drawn(200, 1, names)
    assert faults == drawn(200, 1, names) != drawn(200, 2, names)
    assert len(set(faults)) == 200
    often, seldom = ([kind for kind, _ in faults].count(name) for name in ("kill", "clock-server"))
    assert often > seldom >= 1
