"""Runs of `continues`: each goes on from the policy kept last, with prompts that are new."""

import shutil
from pathlib import Path

import pytest

from flows.cli import AWAITING
from prefopt_core.ground.errors import ConfigError, NothingNewError
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.runs import find_run, runs
from tasks.session import listing
from tests.people import PEOPLE, answer

pytestmark = pytest.mark.slow


def in_nights(settings, folder):
    """One round of 8 prompts and 4 labels a night, 6 prompts held out; a file of 16 prompts."""
    path = folder / "growing.csv"
    path.write_text("prompt\n")
    params = settings["prompts"]["params"] | {"path": str(path)}
    rounds = [{"prompts": 8, "labels": 4}]
    prompts = settings["prompts"] | {"params": params}
    own = {"continues": "nightly", "rounds": rounds, "budget": 4, "prompts": prompts}
    grow(settings | own, 16)
    return settings | own


@pytest.fixture(scope="module")
def first_night(usual_settings, run, tmp_path_factory):
    """(Its store, its result)."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFOPT_STORE", str(folder / "store"))
        result = run(in_nights(usual_settings, folder))
    return folder / "store", result


@pytest.fixture
def store(first_night, store):
    """A store with the first night in it."""
    shutil.copytree(first_night[0], store.root)
    return store


@pytest.fixture
def nightly(settings, tmp_path):
    return in_nights(settings, tmp_path)


def grow(settings, count):
    path = Path(settings["prompts"]["params"]["path"])
    there = len(path.read_text().splitlines()) - 1
    with path.open("a") as file:
        file.writelines(f"How do I mend number {there + i}?\n" for i in range(count))


def prompts_in(store, tables):
    return [prompt for table in tables for prompt in store.read(table)["prompt_id"]]


def labels_in(store):
    return sum(count for *_, count in LabelStore(store.root).counts())


def test_a_night_starts_from_the_policy_before_and_takes_prompts_not_used(
    nightly, first_night, store, run
):
    _, first = first_night
    grow(nightly, 10)
    with listing() as stages:
        run(nightly)
    assert "load_policy" not in {planned.stage for planned in stages}
    second = run(nightly)
    one, two = (find_run(store, f"nightly-{number}") for number in (1, 2))
    assert (one.policy, two.policy) == (first.policy, second.policy)
    assert two.model == "policy of nightly-1"
    trained = [made.inputs for made in store.manifests("train") if made.output == two.policy]
    assert first.policy.digest in str(trained)
    assert two.left.held_out == one.left.held_out
    used = prompts_in(store, two.left.prompts)
    assert two.left.prompts[0] == one.left.prompts[0]
    every = used + prompts_in(store, [two.left.held_out])
    assert (len(used), len(set(every))) == (16, 22)
    assert labels_in(store) == 8  # each night has a budget of 4


def test_labelled_pairs_of_earlier_nights_are_trained_on_again(nightly, store, run):
    grow(nightly, 10)
    run(nightly)
    one, two = (find_run(store, f"nightly-{number}") for number in (1, 2))
    (again,) = store.manifests("score_preferences")
    assert one.left.labelled[0].digest in str(again.inputs)
    assert two.left.labelled == (*one.left.labelled, *two.preferences)


def test_without_replay_they_are_not(nightly, store, run):
    nightly["replay"] = False
    grow(nightly, 10)
    run(nightly)
    assert not list(store.manifests("score_preferences"))


def test_too_few_new_prompts_end_a_night_that_buys_nothing(
    nightly, store, config_file, prefopt, run
):
    grow(nightly, 3)  # with 2 that the first night left
    bought, file = labels_in(store), config_file(nightly)
    status, output, errors = prefopt("run", file, "--no-server")
    assert (status, errors) == (0, "")
    assert "since nightly-1: 5 prompts of 19 are new, and nightly-2 takes 8." in output
    assert labels_in(store) == bought
    assert [(each.name, each.state) for each in runs(store)] == [("nightly-1", "completed")]
    grow(nightly, 3)
    run(nightly)
    assert find_run(store, "nightly").name == "nightly-2"


def test_a_plan_says_so_too(nightly, store, config_file, prefopt, run):
    status, output, _ = prefopt("plan", config_file(nightly))
    assert (status, "Nothing to do since nightly-1: 2 prompts of 16" in output) == (0, True)


def test_a_file_of_new_prompts_alone_is_enough(nightly, store, run):
    path = Path(nightly["prompts"]["params"]["path"])
    path.write_text("prompt\n" + "".join(f"What is number {i}?\n" for i in range(8)))
    run(nightly)
    assert find_run(store, "nightly").name == "nightly-2"


def test_a_night_that_is_killed_goes_on_as_itself(nightly, store, config_file, command, tools, run):
    grow(nightly, 10)
    night = command("run", config_file(nightly), "--no-server")
    tools.until(lambda: [*store.root.glob("work/train-*")], seconds=120, every=0.01)
    tools.kill(night)
    night.wait()
    assert find_run(store, "nightly").name == "nightly-2"
    tools.until(lambda: find_run(store, "nightly").state == "killed")
    bought = labels_in(store)
    run(nightly)
    assert labels_in(store) == bought == 8
    assert [each.name for each in runs(store)] == ["nightly-2", "nightly-1"]


def test_in_prefect_a_night_without_new_prompts_is_completed_and_says_so(
    nightly, store, prefect, tools
):
    from prefect.client.orchestration import get_client

    flow, config = tools.parsed(nightly)
    state = flow(config, return_state=True)
    with get_client(sync_client=True) as client:
        shown = client.read_flow_run(state.state_details.flow_run_id)
    assert (shown.name, shown.state_type.value) == ("nightly-2", "COMPLETED")
    assert shown.state_name == "Nothing new"
    assert "2 prompts of 16 are new" in shown.state.message


def test_a_night_that_waits_for_people_goes_on_as_itself(nightly, store, config_file, prefopt):
    file = config_file(nightly | {"annotation": PEOPLE})
    for number in (2, 3):
        grow(nightly, 10)
        assert prefopt("run", file, "--no-server")[0] == AWAITING
        assert find_run(store, f"nightly-{number}").state == "waiting"
        answer(store)
        assert prefopt("run", file, "--no-server")[0] == 0
        assert find_run(store, "nightly").name == f"nightly-{number}"


def test_an_earlier_night_can_be_run_again(nightly, store, run, contents):
    grow(nightly, 10)
    second = run(nightly)
    before = contents(store)
    assert run(nightly | {"name": "nightly-2"}) == second
    assert contents(store) == before
    with pytest.raises(NothingNewError):
        run(nightly)


def test_what_is_held_out_stays_as_much(nightly, store, run):
    grow(nightly, 10)
    nightly["evaluation"]["prompts"] = 5
    with pytest.raises(ConfigError, match=r"holds out 6.*Set it to 6"):
        run(nightly)


def test_a_name_of_no_night_is_refused(nightly, tools):
    with pytest.raises(ValueError, match="Leave `name` out"):
        tools.parsed(nightly | {"name": "mine"})
    with pytest.raises(ValueError, match="Write 'my-nights'"):
        tools.parsed(nightly | {"continues": "My nights"})
