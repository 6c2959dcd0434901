"""Defaults of `spa` and `aepo` are their papers', or docs/papers.md says what differs and why."""

import json
import re
from pathlib import Path

import pytest
import yaml

from prefopt_core.experiments.flows import AepoConfig, SpaConfig
from prefopt_core.ground.registry import SPEED_ONLY
from prefopt_core.ground.settings import Backend, Config
from tests.core.experiments.smallest import BOUGHT, COMMON, FLOWS

PAGE = (Path(__file__).parents[3] / "docs" / "papers.md").read_text(encoding="utf-8")
ASIDE = {
    *("policy", "seed_preferences", "rounds", "annotation", "budget", "max_cost"),  # a config's own
    *("name", "seed", "prompts", "pool", "evaluation", "lint", "tracking", "execution"),
}
"""What no paper can say for others, and what is around a method."""


def defaults(config, prefix=""):
    """(dotted setting, value) of all that changes results, in a section and in those within."""
    for name, field in type(config).model_fields.items():
        value, own = getattr(config, name), f"{prefix}{name}"
        if own in ASIDE or SPEED_ONLY in field.metadata:
            continue
        if isinstance(value, Config):
            yield from defaults(value, f"{own}.")
        elif name == "params" and isinstance(config, Backend):
            fast = config.registry.speed_only(getattr(config, config.choice))
            yield from ((f"{own}.{n}", v) for n, v in value.items() if n not in fast)
        else:
            yield own, value


def of_flow(flow):
    """Dotted setting → value, where a config says nothing; of AEPO's training, where it is on."""
    if flow == "spa":
        return dict(defaults(SpaConfig.model_validate(FLOWS["spa"])))
    own = {"policy": COMMON["policy"], "prompts": COMMON["prompts"]} | BOUGHT
    off, on = (AepoConfig.model_validate(own | more) for more in ({}, {"training": {}}))
    return dict(defaults(on)) | dict(defaults(off))


def table(flow):
    """Dotted setting → (paper, here, what differs) of the flow's table on the page."""
    text = PAGE.partition(f"## `flow: {flow}`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*?) \| ?(.*?) ?\|$", text, re.MULTILINE)
    return {setting: rest for setting, *rest in rows}


@pytest.mark.parametrize("flow", ["spa", "aepo"])
def test_the_page_has_every_default_of_a_flow_as_it_is(flow):
    here = {setting: yaml.safe_load(own.strip("`")) for setting, (_, own, _) in table(flow).items()}
    assert here == json.loads(json.dumps(of_flow(flow)))


@pytest.mark.parametrize("flow", ["spa", "aepo"])
def test_a_default_is_the_papers_or_the_page_says_why_not(flow):
    said = {n: (paper, own) for n, (paper, own, why) in table(flow).items() if not why}
    assert len(said) > 20
    other = {n: both for n, both in said.items() if both[0] not in ("–", both[1])}
    assert not other, "say in docs/papers.md what differs, and why"


def test_a_section_that_is_given_in_part_keeps_the_other_defaults_of_its_flow(load):
    spa = load("spa", generation={"params": {"top_p": 0.9}}, training={"learning_rate": 1e-4})
    assert (spa.generation.n, spa.generation.params["max_new_tokens"]) == (2, 300)
    assert (spa.generation.params["temperature"], spa.training.loss) == (0.7, "noise_aware")
    assert load("spa", changes={"training.loss": "dpo"}).training.params == {}
    aepo = load("aepo", policy=COMMON["policy"], training={"lora": None, "epochs": 1})
    assert (aepo.training.optimizer, aepo.training.lora) == ("rmsprop", None)
    assert load("aepo").training is None


def test_a_test_generates_by_the_defaults_of_its_flow(load):
    grader = {"annotator": "function", "params": {"function": "m:f"}}
    held_out = load("spa", evaluation=grader).evaluation.generation
    assert (held_out.n, held_out.params["temperature"]) == (1, 0.7)


def test_a_config_written_out_is_read_again_as_it_was(load):
    for flow in ("spa", "aepo"):
        first = load(flow)
        assert load(flow, **first.model_dump(mode="json")).digest == first.digest
