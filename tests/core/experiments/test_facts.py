"""The first lines of a page: what a run or a comparison is about."""

from prefopt_core.experiments.facts import facts_of
from prefopt_core.experiments.grid import load_comparison

DAY = 86_400.0


def arms(*changes):
    comparison = load_comparison("presets/tiny.yaml", {})
    config = next(iter(comparison.cells())).config
    return [config.model_copy(update=change) for change in changes]


def test_a_run_says_when_it_was_of_what_and_who_judged():
    facts = dict(facts_of(arms({}), 3 * DAY).facts)
    assert facts == {
        "date": "1970-01-04", "model": "helpdesk", "prompts": "helpdesk",
        "labels by": "function: helpdesk", "budget": "12 labels",
        "held out": "10 prompts", "graded by": "function: helpdesk",
    }  # fmt: skip


def test_a_comparison_says_only_what_all_its_arms_have_in_common():
    facts = dict(facts_of(arms({}, {"budget": 24}), 0.0).facts)
    assert "budget" not in facts
    assert facts["model"] == "helpdesk"
