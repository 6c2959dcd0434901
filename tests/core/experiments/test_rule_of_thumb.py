"""GPU hours and tokens of a plan, by parameters and tokens."""

import re
from types import SimpleNamespace

import pytest

from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.rule_of_thumb import by_rule_of_thumb

RUN = {
    "policy": {"params": {"path": "owner/some-10b"}},
    "prompts": {"params": {"path": "p.jsonl"}},
    "seed_preferences": {"path": "s.jsonl"},
    "generation": {"params": {"max_new_tokens": 300}},
    "rounds": [{"prompts": 1000}],
}


def planned(name, **arguments):
    return SimpleNamespace(stage=name, labels=0, found=None, arguments=arguments)


def plan(**training):
    """2,000 responses to 1,000 prompts, and 3 passes over 1,000 pairs."""
    config = CONFIGS["spa"].model_validate(RUN | {"training": {"epochs": 3, **training}})
    drawn = planned("draw_prompts", prompts=None, first=0, count=1000)
    written = planned("generate", prompts=drawn, policy=None, config=config.generation)
    pairs = planned("pair", judgments=written)
    training = config.training.for_round(1)
    trained = planned("train", preferences=[pairs], policy=None, config=training)
    stages = [drawn, written, pairs, trained]
    return config, stages, [*by_rule_of_thumb(stages, stages, config)]


def hours(lines, stage):
    return float(re.search(rf"{stage} ([\d.]+)", lines[0])[1])


def test_tokens_are_those_of_prompts_and_of_responses_as_long_as_they_may_be():
    _, _, lines = plan()
    assert lines[1] == (
        "Tokens: at most 0.6 M written, 3.0 M trained, with 200 of each prompt."
    )  # 2,000 · 300; 3 · 1,000 pairs · 2 · (200 + 300)


def test_west_of_n_has_all_responses_scored_and_replay_adds_its_share_of_pairs():
    config, (drawn, written, pairs, trained), _ = plan()
    chosen = planned("select", candidates=written, config=config.selection)
    scored = planned("score", selections=chosen, policy=None, config=config.scoring)
    again = planned("draw_replay", pairs=pairs, share=0.75)
    noted = planned("note_consistency", pairs=pairs)
    trained.arguments["preferences"] = [noted, again]
    stages = [drawn, written, chosen, scored, pairs, noted, again, trained]
    lines = [*by_rule_of_thumb(stages, stages, config)]
    # 2,000 · (200 + 300); 3 · (1,000 + 3,000) pairs · 2 · 500
    assert lines[1].startswith("Tokens: at most 0.6 M written, 1.0 M read, 12.0 M trained")


def test_hours_are_operations_over_what_a_gpu_reaches():
    _, _, lines = plan(params={"extrapolation": 0.0})
    assert hours(lines, "generate") == pytest.approx(1e6 * 2 * 10e9 / 31.2e12 / 3600, abs=0.05)
    assert hours(lines, "train") == pytest.approx(3e6 * 6 * 10e9 / 124.8e12 / 3600, abs=0.05)


def test_what_is_computed_again_or_besides_takes_its_part():
    def train(**training):
        return hours(plan(**training)[2], "train")

    alone = train(loss="dpo")
    assert train(loss="dpo", gradient_checkpointing=True) / alone == pytest.approx(8 / 6, rel=0.2)
    assert train() / alone == pytest.approx(8 / 6, rel=0.2)  # the reference model, for noise
    assert train(loss="dpo", lora={"r": 8}) / alone == pytest.approx(4 / 6, rel=0.2)


def test_what_the_store_has_earlier_stages_of_is_not_counted():
    config, stages, _ = plan()
    lines = [*by_rule_of_thumb(stages, stages[:2], config)]
    assert "train" not in lines[0].partition(")")[0]


def test_what_has_no_known_size_is_named():
    config, stages, _ = plan()
    seed = planned("train", preferences=[], policy=None, config=config.training.for_round(1))
    lines = [*by_rule_of_thumb([*stages, seed], [*stages, seed], config)]
    assert lines[0].endswith("Not counted, as their sizes are not known: train.")


def test_nothing_is_said_of_a_model_without_a_size():
    _, stages, _ = plan()
    other = {"policy": {"params": {"path": "owner/unknown"}}}
    assert [*by_rule_of_thumb(stages, stages, CONFIGS["spa"].model_validate(RUN | other))] == []
