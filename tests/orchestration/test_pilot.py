"""`prefopt pilot`: the run finds what a pilot made and bought, and nobody is asked twice."""

import pytest

from flows.cli import AWAITING
from flows.pilot import pilot
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.runs import runs
from tasks.session import Session, listing, session

COMMAND = ("--labels", "6", "--folds", "3")


@pytest.fixture
def calls(tmp_path, monkeypatch):
    path = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(path))
    return lambda: path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def bought(store):
    return lambda: sum(count for *_, count in LabelStore(store.root).counts())


@pytest.fixture
def parsed():
    return lambda settings: CONFIGS[settings.pop("flow")].model_validate(settings)


@pytest.mark.slow
def test_a_run_after_a_pilot_asks_for_the_rest_alone_and_comes_to_the_same(
    settings, config_file, prefopt, listened, calls, bought, first_run
):
    config = config_file(settings)
    code, output, told = prefopt("pilot", config, *COMMAND)
    assert code == 0, told
    assert "Labels to buy: at most 6. Trainings: 3." in output
    assert "the judge is right in" in " ".join(output.split())
    assert len(calls()) == bought() == 6
    assert "left of the budget: 7 of 13" in prefopt("plan", config)[1].lower()
    result, listener = listened(settings)
    assert sorted(calls()) == sorted(first_run.calls.read_text().splitlines())
    assert bought() <= settings["budget"]
    assert [m.digest for m in result.metrics] == [m.digest for m in first_run.result.metrics]
    begun = [outcome for outcome in listener.outcomes if outcome[0] in ("generate", "select")]
    assert begun[1] == ("generate", True), "the first is of the held-out prompts"
    assert ("select", True) in begun
    again = prefopt("pilot", config, *COMMAND)[1]
    assert "Labels to buy: at most 0. Trainings: 0." in again
    assert len(calls()) == len(first_run.calls.read_text().splitlines())


@pytest.mark.slow
def test_a_pilot_after_the_run_buys_nothing_and_is_no_run(
    settings, config_file, prefopt, finished, calls
):
    before = [run.name for run in runs(finished)]
    code, output, told = prefopt("pilot", config_file(settings), *COMMAND)
    assert code == 0, told
    assert "Labels to buy: at most 0." in output
    assert calls() == []
    assert [run.name for run in runs(finished)] == before


def test_a_judge_from_outside_learns_nothing_and_judges_all(settings, scorer, store, parsed):
    settings["judge"] = {"annotator": "function", "params": {"function": f"{scorer}:gold"}}
    with session(Session(store=store)), listing() as stages:
        pilot(parsed(settings), 6, 3)
    made = [stage.stage for stage in stages]
    assert "train" not in made
    assert made.count("judge") == 1


def test_folds_train_for_as_many_steps_as_the_round_would(settings, store, parsed):
    settings["training"].pop("steps")
    settings["rounds"][0] |= {"epochs": 2.5}
    with session(Session(store=store)), listing() as stages:
        pilot(parsed(settings), 6, 3)
    configs = [stage.arguments["config"] for stage in stages if stage.stage == "train"]
    # Before there are pairs to count, one a prompt is expected.
    # 9 labels pay for 4 pairs, a batch: 2.5 epochs are 3 steps
    assert [config.steps for config in configs] == [3, 3, 3]


def test_folds_of_a_calibrated_judge_hold_out_pairs_to_calibrate_by(settings, store, parsed):
    settings["judge"] = {"calibrated": 0.5}
    with session(Session(store=store)), listing() as stages:
        pilot(parsed(settings), 6, 3)
    made = [stage.stage for stage in stages]
    assert made.count("hold_out") == 6  # to train on, and to calibrate by
    assert made.count("calibrate") == 3


@pytest.mark.slow
def test_folds_train_on_as_many_steps_as_pairs_make_in_round_1(settings, store, parsed):
    settings["training"].pop("steps")
    settings["training"] |= {"batch_size": 1, "micro_batch_size": 1}
    config = parsed(settings)
    with session(Session(store=store)):
        pilot(config, 6, 3)
    with session(Session(store=store)), listing() as stages:
        pilot(config, 6, 3)
        expected = next(s for s in stages if s.stage == "leave_out").arguments["pairs"].rows
    configs = [stage.arguments["config"] for stage in stages if stage.stage == "train"]
    # 6 labels are of 3 prompts, the 9 of round 1 of 4
    assert {one.steps for one in configs} == {config.training.steps_on(expected * 4 / 3)}


@pytest.mark.slow
def test_people_are_asked_for_the_pilots_labels_alone(settings, config_file, prefopt, bought):
    settings["annotation"] = {"annotator": "people"}
    code, output, told = prefopt("pilot", config_file(settings), "--labels", "3", "--folds", "3")
    assert code == AWAITING, told
    said = " ".join(output.split())
    assert "awaiting 3 labels from people (0 of 3 are given)" in said
    assert "prefopt annotate" in said
    assert "prefopt pilot" in said
    assert bought() == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--labels", "10"], "a part of the 9 labels of round 1, and one prompt takes 2"),
        (["--labels", "1"], "--labels is 1"),
        (["--labels", "6", "--folds", "1"], "--folds is 1: it takes two"),
        (["--labels", "6", "rounds.0.labels=0", "judge.reference=none"], "Round 1 buys no labels"),
        (["--labels", "6"], "pays for 3 prompts, too few for 4 folds"),
    ],
)
def test_what_no_pilot_can_be_made_of_is_refused(
    settings, config_file, prefopt, store, options, expected
):
    code, _, told = prefopt("pilot", config_file(settings), *options)
    assert code == 2
    assert expected in " ".join(told.split())


def test_other_flows_have_no_pilot(given_candidates, config_file, prefopt, store):
    code, _, told = prefopt("pilot", config_file(given_candidates))
    assert code == 2
    assert "The flow is 'aepo': a pilot is of `align`" in told
