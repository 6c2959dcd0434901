"""What a run may buy, of whom, and what it needs to choose: said before anything runs."""

import pytest
from pydantic import ValidationError

from prefopt_core.ground.errors import ConfigError
from tests.core.experiments.smallest import FLOWS

# --- the budget of a run ------------------------------------------------------------------------


def allowance(load, flow="aepo", annotation=(), **settings):
    own = FLOWS[flow]["annotation"] | dict(annotation)
    return load(flow, annotation=own, **settings).allowance


def test_a_raised_budget_or_another_price_is_the_same_account(load):
    first = allowance(load)
    assert (first.labels, first.cost) == (10, None)
    raised = allowance(load, budget=20, max_cost=7.5, annotation={"price": 0.5})
    assert (raised.account, raised.labels, raised.cost) == (first.account, 20, 7.5)


def test_a_slower_or_dearer_server_is_the_same_account(load):
    params = {"base_url": "http://127.0.0.1:9/v1", "model_name": "judge"}

    def account(**more):
        judge = {"annotator": "llm-judge", "params": params | more}
        return allowance(load, annotation=judge).account

    assert account(concurrency=2, max_attempts=9, price_prompt=1.0) == account()
    assert account(model_name="another") != account()


def test_what_changes_speed_only_is_the_same_account_in_sections_of_sections_too(load):
    graded = {"annotator": "function", "params": {"function": "helpdesk"}}
    first, *others = (
        load("align", {"evaluation": graded} | changes).allowance.account
        for changes in (
            {},
            {"generation.params.batch_size": 3},  # held-out prompts are answered with it, too
            {"evaluation.params.probe": True},
            {"training.save_every": 5},
            {"scoring.params.batch_size": 3},
            {"evaluation.generation.params.max_new_tokens": 3},
        )
    )
    assert [account == first for account in others] == [True] * 4 + [False]


@pytest.mark.parametrize("change", [{"seed": 1}, {"annotation": {"guidelines": "2"}}])
def test_runs_of_other_settings_have_accounts_of_their_own(load, change):
    assert allowance(load, **change).account != allowance(load).account


def test_runs_that_name_an_account_share_it(load):
    team = {"account": "team"}
    accounts = {
        allowance(load, flow, annotation=team, seed=seed).account
        for flow in ("aepo", "align")
        for seed in (0, 1)
    }
    assert accounts == {"team"}


COMPARED = {"annotator": "simulated", "params": {"function": "helpdesk", "ask": "compare"}}


def test_a_budget_must_pay_all_comparisons_of_one_prompt(load):
    wanted = {"annotation": COMPARED, "selection": {"k": 4, "strategy": "random"}}
    assert load("aepo", budget=6, **wanted).fewest_labels == 6
    with pytest.raises(ValidationError, match=r"budget is 5: it cannot pay for the 6 labels"):
        load("aepo", budget=5, **wanted)
    ranked = COMPARED | {"params": COMPARED["params"] | {"ask": "rank"}}
    assert load("aepo", budget=1, **(wanted | {"annotation": ranked})).fewest_labels == 1


def test_labels_by_their_gain_are_of_scores(load):
    with pytest.raises(ValidationError, match=r"allocation: coverage.*params\.ask` is 'compare'"):
        load("aepo", annotation=COMPARED, selection={"allocation": "coverage"})


# --- estimates of rewards -------------------------------------------------------------------------


@pytest.mark.parametrize("flow", ["aepo", "spa"])
def test_strategy_by_estimates_is_refused_where_nothing_estimates(load, flow):
    only = r"'dts' needs estimates of rewards, which only flow `align`"
    with pytest.raises(ValidationError, match=only):
        load(flow, selection={"strategy": "dts"})


def test_estimates_from_labels_need_embeddings_and_from_the_policy_none(load):
    with pytest.raises(ValidationError, match=r"'dts' needs estimates.*Set `embedding`.*'policy'"):
        load(selection={"strategy": "dts"}, embedding=None)
    by_policy = {"estimation": {"source": "policy"}, "embedding": None}
    assert load(selection={"strategy": "dts"}, **by_policy).estimation.source == "policy"
    assert load(selection={"strategy": "random"}, embedding=None).embedding is None


def test_policy_gives_no_heads(load):
    with pytest.raises(ValidationError, match=r"'bald' compares several.*Set it to 'labels'"):
        load(selection={"strategy": "bald"}, estimation={"source": "policy"})
    assert load(selection={"strategy": "bald"}).estimation.heads == 20


def test_least_sure_first_needs_a_judge(load):
    routed = {"annotator": "people", "first": "least_sure"}
    assert load("align", annotation=routed).annotation.first == "least_sure"
    with pytest.raises(ValidationError, match=r"`annotation\.first: least_sure` needs a judge"):
        load("aepo", annotation=routed)


# --- people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", ["judge", "evaluation"])
def test_people_are_asked_only_where_a_run_can_wait_for_them(load, section):
    with pytest.raises(ValidationError, match="'people' answer later, and only `annotation`"):
        load(**{section: {"annotator": "people"}})


@pytest.mark.parametrize("params", [{"people": 3}, {"overlap": 0.2}])
def test_several_people_without_an_overlap_or_the_reverse_are_refused(load, params):
    people = load(annotation={"annotator": "people", "params": params}).annotation
    with pytest.raises(ConfigError, match="asks one person about each prompt"):
        list(people.check())


def test_a_budget_pays_for_all_the_people_that_one_prompt_takes(load):
    everybody = {"people": 500, "overlap": 1.0}
    with pytest.raises(ValidationError, match="it cannot pay for the 500 labels of one prompt"):
        load("aepo", annotation={"annotator": "people", "params": everybody}, selection={"k": 2})


@pytest.mark.parametrize("change", [{"max_cost": float("inf")}, {"annotation": {"price": "inf"}}])
def test_money_without_an_end_is_refused(load, change):
    with pytest.raises(ValidationError, match="finite number"):
        load("aepo", **change)
