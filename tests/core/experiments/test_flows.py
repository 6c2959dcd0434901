"""Settings: whatever is wrong is said before anything runs, in the words the user typed."""

import re

import pytest
import yaml
from pydantic import ValidationError

from prefopt_core.annotation.settings import AnnotatorConfig, JudgeConfig
from prefopt_core.experiments.flows import AepoConfig, AlignConfig
from prefopt_core.experiments.sources import load_run
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import problems_of
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.selection import STRATEGIES
from prefopt_core.selection.settings import SelectionConfig
from tests.core.experiments.smallest import BOUGHT, COMMON, FLOWS

GRADER = {"annotator": "function", "params": {"function": "m:f"}}
COMPARER = {"annotator": "function", "params": {"function": "f.py:g", "ask": "compare"}}


@pytest.mark.parametrize("flow", FLOWS)
def test_smallest_config_of_every_flow_is_accepted(load, flow):
    assert load(flow).seed == 0


def rounds(*labels):
    return [{"prompts": 9, "labels": count} for count in labels]


def params(**settings):
    return {"generation": {"params": settings}}


MISSPELT = {
    "setting": ({"budgt": 3}, r"'budgt'\. Did you mean 'budget'\? Available: annotation, budget"),
    "two settings": ({"budgt": 3, "sed": 1}, r"'budgt'.*'budget'.*'sed'\. Did you mean 'seed'"),
    "number": (
        {"selection": {7: 3}},
        r"selection: .*no setting '7'\. Available: allocation, k, params",
    ),
    "nested": ({"selection": {"strateg": "aepo"}}, r"selection: .*Did you mean 'strategy'"),
    "in a list": ({"rounds": [{"promts": 3}]}, r"^rounds\.0: .*'promts'.*'prompts'[^\n]*$"),
    "deeper": ({"training": {"lora": {"alfa": 3}}}, r"training\.lora: .*Did you mean 'alpha'"),
    "required": ({"annotation": {"anotator": "replay"}}, r"'anotator'\. Did .*'annotator'"),
    "in params": (
        {"selection": {"params": {"diversity_wieght": 1}}},
        r"selection: .*'aepo' has no setting 'diversity_wieght'\. Did .*'diversity_weight'",
    ),
    "strategy": ({"selection": {"strategy": "aepoo"}}, r"selection strategy 'aepoo'\. .*'aepo'\?"),
    "annotator": ({"annotation": {"annotator": "replya"}}, r"annotation: .*'replya'\. .*'replay'"),
    "generator": ({"generation": {"generator": "fiel"}}, r"generator 'fiel'\. .*'file'\?"),
    "embedder": ({"embedding": {"embedder": "hash"}}, r"embedder 'hash'\. .*'hashing'\?"),
    "pairing": ({"pairing": {"rule": "all"}}, r"pairing rule 'all'\. .*'all_pairs'\?"),
    "loss": ({"training": {"loss": "dop"}}, r"'dop'\. Did you mean 'dpo'\?"),
    "prompt source": ({"prompts": {"source": "csv"}}, r"prompt source 'csv'\. Available: file"),
    "policy source": ({"policy": {"source": "pretraind"}}, r"'pretraind'\. .*'pretrained'\?"),
}
OUT_OF_RANGE = {
    "no annotator": ({"annotation": {}}, r"annotation\.annotator: Field required"),
    "no path": ({"annotation": {"annotator": "replay"}}, r"'replay', setting 'path': Field req"),
    "name a list": ({"selection": {"strategy": ["aepo"]}}, r"selection\.strategy: .*valid string"),
    "name null": ({"selection": {"strategy": None}}, r"selection\.strategy: .*valid string"),
    "params a list": ({"selection": {"params": [1]}}, r"selection\.params: .*valid dictionary"),
    "section a text": ({"selection": "aepo"}, r"selection: .*valid dictionary"),
    "k of one": ({"selection": {"k": 1}}, r"selection\.k: .*greater than or equal to 2; it is 1$"),
    "k > N": ({"selection": {"k": 9}}, r"k=9 of N=8 .*`selection\.k` or raise `generation\.n`"),
    "temperature": (
        params(temperature=0),
        r"generation: .*'temperature': .* than 0; it is 0\.",
    ),
    "top_p": (params(top_p=1.5), r"'top_p': .*less than or equal to 1"),
    "batch size": (params(batch_size=0), r"'batch_size': .*greater than 0"),
    "wrong type": (params(top_k="few"), r"'top_k': .*valid integer"),
    "budget < 0": ({"budget": -3}, r"^budget: .*greater than or equal to 0; it is -3$"),
    "seed a text": ({"seed": "x"}, r"^seed: .*valid integer.*; it is 'x'$"),
    "no rounds": ({"rounds": []}, r"rounds: .*none\. List at least one"),
    "budget 0": ({"budget": 0}, r"budget is 0: .*2 labels of one prompt\. Set `budget` to at lea"),
    "budget below a prompt": ({"budget": 3, "selection": {"k": 4}}, r"budget is 3: .*the 4 labels"),
    "rounds above budget": ({"rounds": rounds(8, 4)}, r"want 12 labels and budget is 10\. Raise"),
    "round below a prompt": ({"rounds": rounds(8, 1)}, r"rounds\.1\.labels is 1: .*0 or to at lea"),
    "first round without": ({"rounds": rounds(0, 4)}, r"rounds\.0\.labels is 0.*Buy labels there"),
    "policy sells labels": (
        {"annotation": {"annotator": "policy"}},
        r"annotation\.annotator: .*only `judge` has.*replay, reward-model or function",
    ),
    "a file answers": (
        {"evaluation": GRADER | {"generation": {"generator": "file", "params": {"path": "p"}}}},
        r"evaluation\.generation: .*'file' gives responses that training does not change",
    ),
    "two responses to compare": (
        {"evaluation": COMPARER | {"generation": {"n": 2}}},
        r"evaluation: .*another policy's, and `evaluation\.generation\.n` is 2\. Set it to 1",
    ),
    "policy grades": ({"evaluation": {"annotator": "policy"}}, r"evaluation\.annotator: .*`judge`"),
    "spa buys": ({"flow": "spa", "rounds": rounds(2)}, r"flow `spa` buys none\..* use `align`"),
    "spa, one response": ({"flow": "spa", "generation": {"n": 1}}, r"k=2 of N=1 responses"),
    "aepo, no model": ({"flow": "aepo", "training": {}}, r"need a model: set `policy`"),
    "aepo, no training": (
        {"flow": "aepo", "policy": {"params": {"path": "m"}}, "evaluation": GRADER},
        r"`evaluation` compares a trained policy: set `training` too",
    ),
    "aepo, params a text": (
        {"flow": "aepo", "generation": {"generator": "file", "params": "path"}},
        r"generation\.params: .*valid dictionary",
    ),
}
BAD = MISSPELT | OUT_OF_RANGE


@pytest.mark.parametrize(("settings", "message"), BAD.values(), ids=BAD)
def test_bad_setting_is_told_with_its_place_and_what_to_do(load, settings, message):
    with pytest.raises(ValidationError) as caught:
        load(**settings)
    problems = problems_of(caught.value)
    assert any(re.search(message, problem) for problem in problems), problems


@pytest.mark.parametrize("flow", FLOWS)
def test_win_rates_are_asked_for_before_a_loss_that_learns_them_misses_them(load, flow):
    sppo = {"policy": COMMON["policy"], "training": {"loss": "sppo"}}
    with pytest.raises(ValidationError, match=r"Set `pairing\.win_rates: true`"):
        load(flow, **sppo)
    assert load(flow, **sppo, pairing={"win_rates": True}).pairing.win_rates
    # Names and budgets of runs from before the setting existed stay as they are.
    assert "win_rates" not in load(flow).pairing.model_dump(context="identity")
    assert "win_rates" not in load(flow).pairing.key_part()


WRITERS = {"annotator": "by-writer", "params": {"writers": ["a", "b"]}}


@pytest.mark.parametrize("flow", FLOWS)
def test_newer_settings_of_pairs_leave_keys_names_and_budgets_of_runs_as_they_were(load, flow):
    settings = ("length_penalty", "finished", "characters", "fewest")
    for part in (load(flow).pairing.model_dump(context="identity"), load(flow).pairing.key_part()):
        assert not {*settings} & {*part}
    for name, value in zip(settings, ("auto", True, [4, 9], 3), strict=True):
        changed = load(flow, pairing={name: value})
        assert changed.pairing.key_part()[name] == value
        assert changed.digest != load(flow).digest


def test_cream_needs_a_policy_that_judges(load):
    cream = {"policy": COMMON["policy"], "training": {"loss": "cream"}}
    with pytest.raises(ValidationError, match=r"all labels are paid for\. Use `align` or `spa`"):
        load("aepo", **cream)
    with pytest.raises(ValidationError, match=r"'by-writer' is the same in each round\. Set"):
        load("align", **cream, judge=WRITERS)
    assert load("spa", **cream).training.weighs_judges


@pytest.mark.parametrize("flow", ["align", "spa"])
def test_newer_settings_of_judges_leave_keys_names_and_budgets_of_runs_as_they_were(load, flow):
    for name, value in (("policies", "all"), ("calibrated", True), ("calibrated", 0.1)):
        old, new = load(flow), load(flow, judge={name: value})
        assert name not in old.judge.model_dump(context="identity")
        assert new.judge.key_part() == old.judge.key_part()  # of other stages, as their inputs
        assert new.digest != old.digest
    assert load(flow).judge.held_out == 0
    assert load(flow, judge={"calibrated": True}).judge.held_out == 0.25


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (WRITERS | {"calibrated": True}, r"the judge is 'by-writer'\. Leave them out, or set `ann"),
        (WRITERS | {"policies": "all"}, r"the judge is 'by-writer'"),
        ({"policies": "all", "reference": "previous"}, r"Set `reference: initial`, or `policies:"),
        (
            {"calibrated": True, "params": {"length_penalty": 0.1}},
            r"Leave `params\.length_penalty`",
        ),
        ({"calibrated": 1.0}, r"calibrated.*less than 1"),
    ],
)
def test_what_does_not_go_with_another_judge_is_refused(load, judge, message):
    with pytest.raises(ValidationError) as caught:
        load("spa", judge=judge)
    assert any(re.search(message, problem) for problem in problems_of(caught.value))


def test_a_calibrated_judge_finds_what_length_costs_alone(load):
    with pytest.raises(ValidationError, match=r"Leave `pairing\.length_penalty` out"):
        load(judge={"calibrated": True}, pairing={"length_penalty": "auto"})


def test_calibration_needs_labelled_pairs_to_hold_out(load):
    with pytest.raises(ValidationError, match=r"rounds\.0\.labels is 2: .*two prompts at least: 4"):
        load(judge={"calibrated": True}, rounds=rounds(2))
    with pytest.raises(ValidationError, match=r"holds out pairs of `seed_preferences`"):
        load("spa", seed_preferences=None, judge={"calibrated": True, "reference": "none"})


def test_the_first_policy_of_several_is_the_one_that_judges_alone():
    several, one = JudgeConfig(policies="all"), JudgeConfig()
    assert several.judging(["start", "first"]) == one.judging(["start", "first"]) == ["first"]
    assert several.judging(["start", "first", "second"]) == ["first", "second"]
    assert one.judging(["start", "first", "second"]) == ["second"]
    assert several.references(["start", "first", "second"]) == ["start"]


def test_embedding_by_the_policy_needs_one_and_compares_within_a_round(load):
    own = {"embedding": {"embedder": "policy"}}
    with pytest.raises(ValidationError, match=r"`embedding\.embedder: policy` needs a model"):
        load("aepo", **own)
    with pytest.raises(ValidationError, match=r"has another space in each round"):
        load("align", **own, selection={"strategy": "dts"})
    by_policy = {"selection": {"strategy": "margin"}, "estimation": {"source": "policy"}}
    assert load("align", **own, **by_policy).embedding.by_policy


def test_penalty_on_length_needs_a_judge_that_scores(load):
    with pytest.raises(ValidationError, match=r"is subtracted from scores, and the judge compares"):
        load(judge=WRITERS, pairing={"length_penalty": "auto"})


def test_spa_without_a_seed_needs_a_judge_that_has_learned(load):
    with pytest.raises(ValidationError, match=r"Without `seed_preferences` the policy cannot"):
        load("spa", seed_preferences=None)
    with pytest.raises(
        ValidationError, match=r"`replay` trains on the pairs of `seed_preferences`"
    ):
        load("spa", seed_preferences=None, judge=WRITERS, replay=0.5)
    assert load("spa", seed_preferences=None, judge=WRITERS).seed_preferences is None


def test_replay_is_all_none_or_a_share(load):
    for value in (True, False, 0.5):
        assert load("spa", replay=value).replay is value or load("spa", replay=value).replay == 0.5
    assert load(replay=True).digest == load().digest
    with pytest.raises(ValidationError, match="less than 1"):
        load(replay=1.5)


def test_mistake_in_a_round_is_one_problem(load):
    with pytest.raises(ValidationError) as caught:
        load(rounds=[{"prompts": 3, "lables": 4}])
    assert caught.value.error_count() == 1


def test_prompts_of_given_candidates_are_those_of_their_file(load):
    assert load("aepo").prompts.params["path"] == "c.csv"
    elsewhere = load("aepo", prompts={"params": {"path": "p.csv"}})
    assert elsewhere.prompts.params["path"] == "p.csv"


def test_k_of_given_candidates_is_not_compared_with_n(load):
    assert load("aepo", selection={"k": 20}, budget=20).selection.k == 20


@pytest.mark.parametrize(
    ("path", "value"),
    [("selection.k", 3), ("rounds.0.labels", 6), ("pairing.keep", 0.5), ("embedding.params", {})],
)
def test_dotted_change_reaches_its_setting(load, path, value):
    found = load(changes={path: value}, embedding={"embedder": "hashing"}).model_dump()
    for name in path.split("."):
        found = found[int(name) if name.isdigit() else name]
    assert found == (value or {"dimensions": 512})


def test_dotted_change_fills_a_section_that_was_left_empty(load):
    assert load(changes={"selection.k": 3}, selection=None).selection.k == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("rounds.5.labels", r"'rounds\.5\.labels': what should hold '5' is a list of 1, counted"),
        ("rounds.one.labels", r"what should hold 'one' is a list of 1"),
        ("budget.total", r"'budget\.total': what should hold 'total' is 10\."),
        ("seed.x.y", r"'seed\.x\.y': what should hold 'x' is 0"),
        ("selektion.k", r"no setting 'selektion'\. Did you mean 'selection'\?"),
    ],
)
def test_dotted_change_that_leads_nowhere_is_told(load, path, message):
    with pytest.raises(ValueError, match=message):
        load(changes={path: 3}, seed=0)


FILES = {
    "open list": (b"a: [", r"run\.yaml is not YAML, line 1: "),
    "two colons": (b"a: b: c", r"run\.yaml is not YAML, line 1: "),
    "tab": (b"\tx: 1", r"run\.yaml is not YAML"),
    "binary": (b"\xff\xfe\x00", r"run\.yaml is not YAML: .*utf-8"),
    "empty": (b"", r"run\.yaml holds no settings\. `prefopt init` writes"),
    "list": (b"- policy\n", r"run\.yaml holds no settings"),
    "unknown flow": (b"flow: alin", r"run\.yaml: there is no flow 'alin'\. Did you mean 'align'\?"),
    "flow a list": (b"flow: [spa]", r"run\.yaml: there is no flow"),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_file_that_is_no_config_is_told(write, content, message):
    path = write("run.yaml", content)
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        load_run(str(path), {})


ENTRY = {"name": "quickstart", "entrypoint": "flows.spa.spa"}
DEPLOYMENTS = {
    "no file": (None, r"no file 'quickstrat', no such deployment .*Did you mean 'quickstart'\?"),
    "misspelt": ({"deployments": [ENTRY]}, r"Did you mean 'quickstart'\?.*path of a YAML file"),
    "none": ({"name": "prefopt"}, r"no such deployment in a prefect\.yaml here"),
    "no YAML": ("deployments: [", r"prefect\.yaml is not YAML"),
    "no config": (
        {"deployments": [ENTRY | {"name": "quickstrat"}]},
        r"'quickstrat' in prefect\.yaml has no `parameters\.config`",
    ),
}


@pytest.mark.parametrize(("content", "message"), DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_deployment_that_cannot_be_found_is_told(write, monkeypatch, tmp_path, content, message):
    monkeypatch.chdir(tmp_path)
    if content:
        write("prefect.yaml", content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message):
        load_run("quickstrat", {})


def test_deployment_is_a_flow_and_its_config(write, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    entry = ENTRY | {"parameters": {"config": FLOWS["spa"]}}
    write("prefect.yaml", yaml.safe_dump({"deployments": [entry]}))
    flow, config = load_run("quickstart", {"seed": 3})
    assert (flow, config.seed) == ("spa", 3)


def test_defaults_are_part_of_a_key_and_files_count_by_what_is_in_them(write):
    assert SelectionConfig().key_part()["params"] == {"diversity_weight": 1.0}
    one, other = (
        PromptsConfig(params={"path": str(write(name, "prompt\nhi\n"))}).key_part()
        for name in ("one.csv", "other.csv")
    )
    changed = PromptsConfig(params={"path": str(write("one.csv", "prompt\nho\n"))}).key_part()
    assert one == other != changed


def test_config_cannot_be_changed_once_it_is_made():
    with pytest.raises(ValidationError, match="frozen"):
        GenerationConfig().n = 3


def test_registry_imports_nothing_until_a_name_is_used():
    registry = Registry("thing", {"absent": "no.such.module:function"})
    assert list(registry) == ["absent"]
    with pytest.raises(ModuleNotFoundError):
        registry["absent"]


def test_registry_reports_every_problem_at_once():
    with pytest.raises(ConfigError, match=r"'diversity_wight'.*'diversity_weight'.*setting 'x'"):
        STRATEGIES.complete_params("aepo", {"diversity_wight": 1, "x": 2})


def test_the_reference_enters_a_key_by_its_log_probabilities_only():
    parts = [JudgeConfig(reference=r).key_part() for r in ("initial", "previous", "none")]
    assert parts[0] == parts[1] == parts[2] == AnnotatorConfig(annotator="policy").key_part()
    assert JudgeConfig(params={"length_penalty": 0.1}).key_part() != parts[0]
    with pytest.raises(ValidationError, match="'initial', 'previous' or 'none'"):
        JudgeConfig(reference="last")


def test_a_setting_of_the_prompts_keeps_their_file_from_the_candidates():
    config = AepoConfig.model_validate(
        {
            "generation": {"generator": "file", "params": {"path": "pool.csv"}},
            "prompts": {"shard_size": 2},
            "annotation": {"annotator": "replay", "params": {"path": "pool.csv"}},
            "budget": 4,
        }
    )
    assert config.prompts.params["path"] == "pool.csv"
    assert config.prompts.shard_size == 2


@pytest.mark.parametrize("flow", FLOWS)
def test_settings_to_change_are_all_that_count(load, flow):
    config = load(flow)
    assert type(config).model_validate(config.to_change()) == config


def test_where_defaults_are_not_changed_another_member_can_be_named(load):
    settings = load("align", {"generation.params.temperature": 0.5}).to_change()
    settings["selection"]["strategy"] = "random"  # which has no `diversity_weight`
    changed = AlignConfig.model_validate(settings)
    assert changed.selection.strategy == "random"
    assert settings["generation"]["params"] == {"temperature": 0.5}


def test_a_misspelt_name_of_a_member_is_told_before_its_settings():
    settings = COMMON | BOUGHT | {"policy": {"sorce": "helpdesk", "params": {"steps": 20}}}
    with pytest.raises(ValidationError, match=r"no setting 'sorce'\. Did you mean 'source'\?"):
        AlignConfig.model_validate(settings)


def test_a_comparison_is_not_taken_for_a_run(write):
    preset = write("preset.yaml", yaml.safe_dump({"base": "run.yaml", "arms": {}}))
    with pytest.raises(ConfigError, match=r"is a comparison, not a run\. `prefopt compare"):
        load_run(str(preset), {})


def test_a_test_generates_as_the_run_does_but_for_what_it_sets(load):
    usual = {"temperature": 0.3, "top_p": 0.9, "max_new_tokens": 48, "withheld": "drop"}
    own = {"generation": {"params": {"temperature": 0.1}}}
    aligned = load("align", {"generation": {"n": 3, "params": usual}, "evaluation": GRADER | own})
    held_out = aligned.evaluation.generation
    assert held_out.n == 1
    assert {name: held_out.params[name] for name in usual} == usual | {"temperature": 0.1}


def test_runs_from_before_the_encoder_had_a_length_keep_name_and_budget():
    before = {"embedding": {"params": {"max_length": 256}}}  # what it read then
    config = AlignConfig.model_validate(FLOWS["align"] | before)
    assert config.digest.startswith("e6cab2dbaf6a")
    assert config.allowance.account == "run 2f8eb47f26e7"
    assert AlignConfig.model_validate(FLOWS["align"]).digest != config.digest
