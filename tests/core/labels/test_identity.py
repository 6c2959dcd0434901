"""The identity of an annotator, by which labels are found: what changes scores, no more."""

import pytest

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.table import identity
from prefopt_core.ground.registry import Registry


def judge(guidelines="1", **params):
    params = {"model": "some/hub-id", "batch_size": 8} | params
    return identity(
        AnnotationConfig(annotator="reward-model", params=params, guidelines=guidelines)
    )


@pytest.mark.parametrize("setting", [{"batch_size": 9}, {"device": "cuda"}])
def test_speed_is_not_part_of_who_judges(setting):
    assert judge(**setting) == judge()


@pytest.mark.parametrize(
    "setting", [{"model": "other/hub-id"}, {"label": 1}, {"max_length": 9}, {"guidelines": "2"}]
)
def test_settings_that_change_the_verdict_are_part_of_who_judges(setting):
    assert judge(**setting) != judge()


def test_file_of_judgments_is_known_by_its_content(tmp_path):
    def who(path):
        return identity(AnnotationConfig(annotator="replay", params={"path": str(path)}))

    (tmp_path / "a").write_text("{}")
    before = who(tmp_path / "a")
    assert who((tmp_path / "a").rename(tmp_path / "b")) == before
    (tmp_path / "b").write_text("{ }")
    assert who(tmp_path / "b") != before


def test_a_label_belongs_to_the_file_of_its_function_however_that_is_written(tmp_path, monkeypatch):
    def annotator(function):
        return identity(AnnotationConfig(annotator="function", params={"function": function}))

    monkeypatch.chdir(tmp_path)
    here = annotator("judge.py:score")
    assert annotator("./judge.py:score") == annotator(f"{tmp_path}/judge.py:score") == here
    assert annotator("other/judge.py:score") != here
    assert annotator("judge.py:other") != here
    (tmp_path / "judge.py").write_text("def score(prompt, response): return 1")
    assert annotator("judge.py:score") == here  # an edit is the guidelines' business


def test_labels_of_another_packages_annotator_are_told_from_those_of_a_third(monkeypatch):
    config = AnnotationConfig(annotator="function", params={"function": "json:dumps"})

    def identity_by(package):
        monkeypatch.setattr(Registry, "package", lambda self, name: package)
        return identity(config)

    ours = identity_by("")
    assert identity_by("judges 1.2") == identity_by("judges 1.3")
    assert len({ours, identity_by("judges 1.2"), identity_by("graders 1.2")}) == 3
