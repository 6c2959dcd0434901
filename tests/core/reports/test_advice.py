"""Warnings: each on a run made for it, none on a healthy one, and all of settings that exist."""

import re

import polars as pl
import pytest
import yaml

from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.experiments.sources import set_setting
from prefopt_core.ground.tables import TABLES
from prefopt_core.reports import advice
from prefopt_core.reports.advice import advise

HEALTHY = {
    "win_rate_over_previous": (0.60, 0.52, 0.68),
    "self_label_agreement": (0.75, 0.70, 0.80),
    "self_label_confidence": (0.80, 0.78, 0.82),
    "flagged_wrong": (0.60, 0.50, 0.70),
    "response_words": (20.0, 19.0, 21.0),
    "self_pair_words": (2.0, 1.0, 3.0),
    "unfinished": (0.02, 0.0, 0.05),
    "chosen_shift": (-0.4, None, None),
    "distinct_2": (0.50, None, None),
}
"""Metric → (value, low, high), after a round and at the start."""

CASES = {
    "worse": ({"win_rate_over_previous": (0.4, 0.32, 0.48)}, "loses against the round before"),
    "coin": (
        {"self_label_agreement": (0.55, 0.5, 0.6)},
        r"than a coin \(55 % \[50, 60\] right",
    ),
    "wrong": ({"self_label_agreement": (0.3, 0.2, 0.4)}, "no better than a coin"),
    "overconfident": ({"self_label_confidence": (0.95, 0.93, 0.97)}, "is 95 % sure of its own"),
    "longer": ({"response_words": (26.0, 25.0, 27.0)}, r"have 26\.0 words, the start's 20\.0; the"),
    "cut off": ({"unfinished": (0.2, 0.11, 0.3)}, r"20 % \[11, 30\] of the responses are cut off"),
    "displaced": ({"chosen_shift": (-1.5, None, None)}, r"less likely \(-1\.5 nats\)"),
    "repetitive": (
        {"distinct_2": (0.25, None, None)},
        "25 % of word pairs are distinct, 50 % at the",
    ),
    "reversed": (
        {"win_rate": (0.3, 0.2, 0.4), "gold_pairs": (9.0, None, None)},
        r"against the start policy \(win rate 30 % \[20, 40\]\)\. Is a higher score better",
    ),
    "no differences": ({"tied_prompts": (80.0, None, None)}, r"80 of \d+ prompts have labels that"),
    "flags": (
        {"flagged_wrong": (0.1, 0.05, 0.2)},
        r"less often \(10 % \[5, 20\]\) than.*25 %",
    ),
    "rounded": (
        {"margin_trained": (0.05, None, None), "margin_saved": (0.001, None, None)},
        r"was 0\.0500 and is 0\.0010 in the saved policy",
    ),
    "nothing trained": (
        {"margin_trained": (0.0, None, None), "margin_saved": (0.0, None, None)},
        "training changed nothing",
    ),
}
CLOSE = {
    "hardly rounded": {"margin_trained": (0.05, None, None), "margin_saved": (0.046, None, None)},
    "a margin of noise": {"margin_trained": (1e-6, None, None), "margin_saved": (0, None, None)},
    "interval up to one half": {"win_rate_over_previous": (0.4, 0.3, 0.5)},
    "hardly better than a coin": {
        "self_label_agreement": (0.55, 0.51, 0.60), "self_label_confidence": (0.6, 0.6, 0.6)
    },
    "a little too sure": {"self_label_confidence": (0.9, 0.88, 0.92)},
    "perhaps longer": {"response_words": (26.0, 24.9, 27.0)},
    "perhaps cut off": {"unfinished": (0.2, 0.1, 0.3)},
    "one nat": {"chosen_shift": (-1.0, None, None)},
    "more likely": {"chosen_shift": (9.0, None, None)},
    "a little repetitive": {"distinct_2": (0.375, None, None)},
    "fewer of more": {"distinct_2": (0.3, None, None), "response_words": (26.0, 24.9, 27.0)},
    "doubts that may be right": {"flagged_wrong": (0.2, 0.1, 0.25)},
    "shorter": {"response_words": (9.0, 8.0, 10.0)},
}  # fmt: skip


def metrics(*rounds):
    """A table of the figures of the start and of every round; None leaves a figure out."""
    rows = [
        (number, metric, *row, 100)
        for number, figures in enumerate(rounds)
        for metric, row in figures.items()
        if row
    ]
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


def test_a_healthy_run_is_left_alone():
    assert advise(metrics(HEALTHY, HEALTHY, HEALTHY)) == []


@pytest.mark.parametrize(("change", "said"), CASES.values(), ids=CASES)
def test_a_warning_is_raised_where_it_belongs_and_no_other(change, said):
    (text,) = advise(metrics(HEALTHY, HEALTHY, HEALTHY | change))
    assert text.startswith("Round 2: ")
    assert re.search(said, text)


@pytest.mark.parametrize("change", CLOSE.values(), ids=CLOSE)
def test_what_may_be_chance_raises_none(change):
    assert advise(metrics(HEALTHY, HEALTHY | change)) == []


def test_every_rule_has_a_case():
    silent = {
        rule.__name__
        for rule in advice._RULES
        if not any(advise_by(rule, change) for change, _ in CASES.values())
    }
    assert silent == set()


def advise_by(rule, change):
    def rows(figures):
        return {
            metric: dict(zip(("value", "low", "high"), row, strict=True)) | {"n": 100}
            for metric, row in figures.items()
        }

    return list(rule(rows(HEALTHY | change), rows(HEALTHY)))


def test_length_has_a_cause_only_if_the_policy_prefers_the_longer():
    longer = CASES["longer"][0]
    (text,) = advise(metrics(HEALTHY, HEALTHY | longer | {"self_pair_words": (2.0, 1.0, 3.0)}))
    assert "; the policy prefers the longer one, by 2.0 words. If that is no gain" in text
    for unclear in ((2.0, -1.0, 5.0), None):
        (text,) = advise(metrics(HEALTHY, HEALTHY | longer | {"self_pair_words": unclear}))
        assert "the start's 20.0. If that is no gain" in text


@pytest.mark.parametrize("change", [change for change, _ in CASES.values()], ids=CASES)
def test_what_was_not_measured_is_not_warned_of(change):
    for metric in change:
        assert advise(metrics(HEALTHY, HEALTHY | change | {metric: None})) == []
    assert advise(metrics({}, {})) == []


def test_without_a_start_there_is_nothing_to_be_longer_than():
    worse = CASES["longer"][0] | CASES["repetitive"][0]
    assert len(advise(metrics(HEALTHY, HEALTHY | worse))) == 2
    assert advise(metrics({}, HEALTHY | worse)) == []


def test_rounds_are_told_in_their_order_and_the_start_is_not():
    bad = HEALTHY | CASES["cut off"][0]
    found = advise(metrics(bad, bad, HEALTHY, bad)[::-1])
    assert [text.partition(":")[0] for text in found] == ["Round 1", "Round 3"]


@pytest.fixture
def settings():
    """A run that has every section."""
    function = {"annotator": "function", "params": {"function": "json:dumps"}}
    return {
        "policy": {"source": "helpdesk"},
        "prompts": {"source": "helpdesk", "params": {"count": 50}},
        "annotation": function,
        "budget": 8,
        "rounds": [{"prompts": 4, "labels": 8}],
        "evaluation": function | {"prompts": 4},
    }


def test_settings_that_are_advised_exist(settings):
    known = AlignConfig.model_validate(settings).model_dump()
    texts = [advise(metrics(HEALTHY, HEALTHY | change))[0] for change, _ in CASES.values()]
    advised = {setting for text in texts for setting in re.findall("`(.+?)`", text)}
    assert len(advised) > 8
    for setting in advised - {"max_new_tokens"}:
        path, _, value = setting.partition(": ")
        assert "." in path
        section = known
        for name in path.split("."):
            section = section[name]
        if value:
            changed = {**settings, "training": {}, "evaluation": dict(settings["evaluation"])}
            set_setting(changed, path.split("."), yaml.safe_load(value))
            AlignConfig.model_validate(changed)
    assert "max_new_tokens" in known["generation"]["params"]
    assert "max_new_tokens" in known["evaluation"]["generation"]["params"]
