"""The identity of an annotator, by which labels are found: what changes scores, no more."""

import os
import re

import pytest

from prefopt_core.annotation.identity import doubts_of_labels, identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.registry import Registry
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, Label, LabelStore
from prefopt_core.store.artifacts import canonical_json
from tests.verdicts import about


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


JUDGE = "from rubric import POINTS\n\ndef score(prompt, response):\n    return POINTS\n"


@pytest.fixture
def judge_in(tmp_path):
    """A folder with a judge in two files, and the annotator that it is."""

    def judge_in(folder, points=1, **settings):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "judge.py").write_text(JUDGE)
        (tmp_path / folder / "rubric.py").write_text(f"POINTS = {points}\n")
        params = {"function": f"{tmp_path / folder}/judge.py:score"}
        return AnnotationConfig(annotator="function", params=params, **settings)

    return judge_in


def test_a_function_is_what_is_in_its_files_wherever_they_lie(judge_in, monkeypatch, tmp_path):
    here = identity(judge_in("here"))
    assert identity(judge_in("there")) != here  # but for where earlier versions kept its labels:
    assert identity(judge_in("there")).name == here.name
    monkeypatch.chdir(tmp_path / "here")
    relative = AnnotationConfig(annotator="function", params={"function": "judge.py:score"})
    assert identity(relative) == here
    assert identity(judge_in("here", points=2)).name != here.name


def buy(store, config, *prompts, score=0.5):
    buy_from(store, identity(config), *prompts, score=score)


def buy_from(store, annotator, *prompts, score=0.25):
    with buying(store, annotator) as purchase:
        for prompt in prompts:
            purchase.commit(about(prompt, "r"), Verdict.scored(score))


def known(store, config):
    return {prompt for prompt, _ in store.known(identity(config))}


def test_labels_of_a_path_are_those_of_the_judge_that_lies_there(judge_in, tmp_path):
    store, config = LabelStore(tmp_path / "store"), judge_in("here")
    legacy = {"function": {"function": f"{tmp_path / 'here'}/judge.py:score"}}
    buy_from(store, AnnotatorIdentity(canonical_json(legacy), "1"), "old")
    assert known(store, config) == {"old"}
    assert known(store, judge_in("there")) == set()
    (lost,) = doubts_of_labels(judge_in("there"), store)
    assert "1 labels are kept of " in lost
    buy(store, config, "new")
    assert known(store, judge_in("there")) == {"old", "new"}  # its content counts from now on
    assert known(store, judge_in("here", points=2)) == set()
    assert sum(count for *_, count in store.counts()) == 2


def test_a_label_under_two_texts_is_nobody_elses_after_an_edit(judge_in, tmp_path):
    store = LabelStore(tmp_path / "store")
    buy(store, judge_in("there"), "old", score=0.75)  # bought again where the judge lay then
    legacy = {"function": {"function": f"{tmp_path / 'here'}/judge.py:score"}}
    buy_from(store, AnnotatorIdentity(canonical_json(legacy), "1"), "old")
    config = judge_in("here")
    with buying(store, identity(config)) as purchase:
        assert purchase.known() == {("old", ("r",)): [Label("old", ("r",), Verdict.scored(0.75))]}
    assert known(store, judge_in("here", points=2)) == set()
    assert sum(count for *_, count in store.counts()) == 2  # none is lost


def test_what_a_judge_was_when_labels_of_its_path_were_bought_is_doubtful(judge_in, tmp_path):
    store, config = LabelStore(tmp_path / "store"), judge_in("here")
    legacy = {"function": {"function": f"{tmp_path / 'here'}/judge.py:score"}}
    buy_from(store, AnnotatorIdentity(canonical_json(legacy), "1"), "old")
    os.utime(tmp_path / "here" / "judge.py", (0, 0))
    assert list(doubts_of_labels(config, store)) == []
    os.utime(tmp_path / "here" / "judge.py", (2e10, 2e10))
    (edited,) = doubts_of_labels(config, store)
    assert re.match(r"1 labels were bought until 20\d\d-.*was edited since", edited)


def test_labels_of_a_name_stay_when_the_judge_is_edited_and_that_is_said(judge_in, tmp_path):
    store = LabelStore(tmp_path / "store")
    buy(store, judge_in("here"), "before it had a name")
    mary = judge_in("here", name="mary")
    assert list(doubts_of_labels(mary, store)) == []
    buy(store, mary, "first")
    assert known(store, judge_in("here")) == {"before it had a name", "first"}
    edited = judge_in("here", points=2, name="mary")
    assert known(store, edited) == {"before it had a name", "first"}
    assert known(store, judge_in("here", points=2)) == set()
    assert known(store, judge_in("here", points=2, name="john")) == set()
    (doubt,) = doubts_of_labels(edited, store)
    assert doubt.startswith("2 labels of 'mary' were given before its settings or its function")
    assert edited.key_part() == mary.key_part()
    assert known(store, judge_in("here", name="mary", guidelines="2")) == set()


def test_a_function_without_a_content_of_its_own_keeps_its_labels(tmp_path):
    config = AnnotationConfig(annotator="function", params={"function": "operator:eq"})
    store = LabelStore(tmp_path)
    buy(store, config, "first")
    buy(store, config, "second")
    assert known(store, config) == {"first", "second"}


def test_labels_of_a_worlds_function_are_found_under_its_former_paths(tmp_path):
    store = LabelStore(tmp_path)
    former = '{"function":{"function":"prefopt_core.helpdesk.oracle:score"}}'
    buy_from(store, AnnotatorIdentity(former, "1"), "old")
    config = AnnotationConfig(annotator="function", params={"function": "helpdesk"})
    assert known(store, config) == {"old"}
    assert identity(config).name == '{"function":{"function":"helpdesk"}}'


def test_labels_of_another_packages_annotator_are_told_from_those_of_a_third(monkeypatch):
    config = AnnotationConfig(annotator="function", params={"function": "json:dumps"})

    def identity_by(package):
        monkeypatch.setattr(Registry, "package", lambda self, name: package)
        return identity(config)

    ours = identity_by("")
    assert identity_by("judges 1.2") == identity_by("judges 1.3")
    assert len({ours, identity_by("judges 1.2"), identity_by("graders 1.2")}) == 3
