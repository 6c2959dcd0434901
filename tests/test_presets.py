"""What is shipped is loaded: every deployment, every name that a config can say."""

import inspect
from pathlib import Path

import pytest
import yaml

from flows.lookup import flow_of
from prefopt_core.experiments.families import FAMILIES
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.grid import load_comparison
from prefopt_core.experiments.sources import load_run
from prefopt_core.ground.registry import import_function
from prefopt_core.ground.settings import Config

ROOT = Path(__file__).parents[1]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
MEMBERS = [(kind, name) for kind, registry in FAMILIES.items() for name in registry]


@pytest.mark.slow
@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: entry["name"])
def test_deployment_names_a_flow_that_takes_its_parameters(entry, monkeypatch):
    monkeypatch.chdir(ROOT)
    name, config = load_run(entry["name"], {})
    flow = flow_of(name)
    module, _, function = entry["entrypoint"].rpartition(".")
    assert import_function(f"{module}:{function}") is flow
    assert flow.validate_parameters(entry["parameters"])["config"].digest == config.digest


@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: entry["name"])
def test_deployment_sends_the_heartbeats_that_the_watch_for_dead_runs_expects(entry):
    from flows.dead_runs import SILENCE
    from flows.verbs.deploy import POOL

    environment = entry["work_pool"]["job_variables"]["env"]
    assert entry["work_pool"]["name"] == POOL
    assert 3 * int(environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) == SILENCE.total_seconds()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.stem)
def test_preset_is_a_comparison_of_arms_that_differ(preset):
    arms = load_comparison(str(preset), {}).of_seed(0)
    assert len({arm.config.digest for arm in arms}) == len(arms)


@pytest.mark.parametrize(("flow", "kind"), CONFIGS.items(), ids=CONFIGS)
def test_flow_takes_one_config_of_its_own_kind(flow, kind):
    (parameter,) = inspect.signature(flow_of(flow).fn, eval_str=True).parameters.values()
    assert (parameter.name, parameter.annotation) == ("config", kind)
    assert flow_of(flow).name == flow


@pytest.mark.parametrize(("kind", "name"), MEMBERS, ids="-".join)
def test_member_is_importable_and_says_what_it_does_and_takes(kind, name):
    registry = FAMILIES[kind]
    assert registry.summary(name).endswith((".", ")")), "needs a docstring that starts with a line"
    for setting, (annotation, _) in registry.settings(name).items():
        assert annotation is not inspect.Parameter.empty, f"{setting} has no type"
    needed = {s for s, (_, default) in registry.settings(name).items() if default is ...}
    if not needed:
        assert set(registry.complete_params(name, {})) == set(registry.settings(name))


def test_every_setting_of_a_config_describes_itself():
    # Descriptions are the help in Prefect's form of a deployment.
    def kinds(kind):
        yield kind
        for subclass in kind.__subclasses__():
            yield from kinds(subclass)

    plain = {"params", "policy", "prompts", "rounds", "training", "generation", "embedding"}
    plain |= {
        "selection",
        "annotation",
        "judge",
        "scoring",
        "pairing",
        "lint",
        "tracking",
        "execution",
        "seed_preferences",
    }
    missing = [
        f"{kind.__name__}.{name}"
        for kind in kinds(Config)
        for name, field in kind.model_fields.items()
        if not field.description and name not in plain  # sections: their class says it
    ]
    assert not missing
