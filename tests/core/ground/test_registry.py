"""Registries: every line leads to a function, and its signature is its config."""

import inspect
import json
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.annotation.settings import AnnotatorConfig
from prefopt_core.embedding import EMBEDDERS
from prefopt_core.experiments.families import FAMILIES
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry, SpeedOnly, Spread, did_you_mean

LINES = {
    f"{kind} {name}": (registry, name) for kind, registry in FAMILIES.items() for name in registry
}
CALLED_ALIKE = [registry for kind, registry in FAMILIES.items() if kind != "losses"]  # classes


def parameters(function, kinds):
    return [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]


@pytest.mark.parametrize(("registry", "name"), LINES.values(), ids=LINES)
def test_every_line_leads_to_a_function_that_says_what_it_does(registry, name):
    assert callable(registry[name])
    assert registry.summary(name).endswith((".", ";", ":"))
    for kind, _ in registry.settings(name).values():
        assert kind is not inspect.Parameter.empty  # a setting without a type is not checked


@pytest.mark.parametrize("registry", CALLED_ALIKE, ids=lambda registry: registry.kind)
def test_members_of_a_family_are_called_alike(registry):
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    called = {name: tuple(p.name for p in parameters(registry[name], kinds)) for name in registry}
    if registry is EMBEDDERS:  # it reads token ids, of prompts too, as a model of the run does
        assert called.pop("policy") == ("sequences", "model")
    assert len(set(called.values())) == 1


@pytest.mark.parametrize("registry", CALLED_ALIKE, ids=lambda registry: registry.kind)
def test_misspelt_name_is_met_with_the_nearest_one(registry):
    name = next(iter(registry))
    message = f"Unknown {registry.kind} '{name}x'. Did you mean .*Available: .*{name}"
    with pytest.raises(ConfigError, match=message):
        registry[f"{name}x"]


def test_settings_are_completed_checked_and_converted():
    members = ANNOTATORS
    assert members.complete_params("policy", {}) == {"beta": 0.1, "length_penalty": 0.0}
    assert members.complete_params("policy", {"beta": "0.5"})["beta"] == 0.5
    assert members.paths("reward-model") == ["model"]
    with pytest.raises(ConfigError, match="'function', setting 'function': Field required"):
        members.complete_params("function", {})


def test_setting_that_is_no_text_is_named_like_any_other():
    with pytest.raises(ConfigError, match=r"'policy' has no setting '1'.*Available: beta"):
        ANNOTATORS.complete_params("policy", {1: 2})


@pytest.mark.parametrize(
    "settings",
    [{}, {"annotator": ["function"]}, {"annotator": "function", "params": 3}, {"params": [1]}],
    ids=str,
)
def test_section_of_the_wrong_shape_is_told_by_its_fields(settings):
    with pytest.raises(ValueError, match=r"Field required|Input should be a valid"):
        AnnotatorConfig.model_validate(settings)


def test_nothing_near_is_only_met_with_what_there_is():
    assert did_you_mean("zzz", ["beta", "alpha"]) == " Available: alpha, beta."
    assert did_you_mean("x", Registry("thing", {})) == " Available: none."


# --- members of other packages ------------------------------------------------------------------


def points(monkeypatch, **named):
    """Let other packages add members: name → `module:function`."""
    found = [EntryPoint(name, target, "prefopt.things") for name, target in named.items()]
    monkeypatch.setattr("prefopt_core.ground.registry.entry_points", lambda group: found)
    return Registry("thing", {"ours": "json:dumps"}, "prefopt.things")


def test_members_of_other_packages_stand_beside_ours(monkeypatch):
    registry = points(monkeypatch, theirs="json:loads")
    assert list(registry) == ["ours", "theirs"]
    assert len(registry) == 2
    assert "theirs" in registry
    assert registry["theirs"] is json.loads
    assert (registry.package("ours"), registry.package("theirs")) == ("", "json:loads")


def test_a_name_that_is_taken_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="adds the thing 'ours', a name that prefopt has, too"):
        list(points(monkeypatch, ours="json:loads"))


def test_a_member_that_cannot_be_loaded_is_told_when_it_is_used(monkeypatch):
    registry = points(monkeypatch, theirs="json:absent")
    assert "theirs" in registry
    with pytest.raises(ConfigError, match="The thing 'theirs' of json:absent cannot be loaded"):
        _ = registry["theirs"]


# --- settings that several members share --------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where something runs."""

    device: SpeedOnly[str] = "cpu"
    dtype: str = "float32"


def member(texts, *, size: int = 3, place: Spread[Place]):
    """Use a place."""
    return texts, size, place


def test_the_fields_of_a_shared_dataclass_are_settings_of_their_own(monkeypatch):
    registry = Registry("thing", {"member": f"{__name__}:member"})
    monkeypatch.setattr("prefopt_core.ground.registry.import_function", lambda path: member)
    completed = registry.complete_params("member", {"device": "cuda"})
    assert completed == {"size": 3, "device": "cuda", "dtype": "float32"}
    assert registry.speed_only("member") == {"device"}
    assert registry.bind("member", completed)("x") == ("x", 3, Place("cuda", "float32"))
    with pytest.raises(ConfigError, match="has no setting 'place'"):
        registry.complete_params("member", {"place": {}})
