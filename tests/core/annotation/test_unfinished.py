"""A judge that is interrupted: what it said is kept, and what an error says of that."""

import pytest

from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.annotation.table import buy_labels, judge
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.errors import UserCodeError
from prefopt_core.inputs.prompts import from_file
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.holdings import holdings
from prefopt_core.labels.store import LabelStore


@pytest.fixture
def asked(write):
    """Six responses to three prompts, all selected."""
    path = write("c.jsonl", [{"prompt": f"p{i}", "responses": ["a", "bb"]} for i in range(3)])
    config = GenerationConfig(generator="file", params={"path": str(path)})
    prompts = from_file(0, path=str(path))
    candidates = generate_candidates(prompts, None, config, seed=0)
    return Asked(candidates.select("prompt_id", "candidate_id", rank="sample"), candidates, prompts)


@pytest.fixture
def function(write, tmp_path):
    """A judge that writes down what it is asked, and raises while a file `fails` says where."""
    code = f"""
from pathlib import Path

def score(prompt, response):
    asked = Path({str(tmp_path / "asked")!r})
    number = len(asked.read_text().splitlines()) if asked.exists() else 0
    if number == int(Path({str(tmp_path / "fails")!r}).read_text()):
        raise TimeoutError("the judge's network is gone")
    asked.open("a").write(f"{{prompt}} {{response}}\\n")
    return len(response) / 3
"""
    return f"{write('judge.py', code)}:score"


def test_it_goes_on_behind_what_it_has_said(asked, function, tmp_path):
    config = AnnotatorConfig(annotator="function", params={"function": function})
    file = tmp_path / "verdicts.jsonl"
    (tmp_path / "fails").write_text("4")
    with pytest.raises(UserCodeError, match=r"said before is kept while it stays as it is\."):
        judge(asked, config, unfinished=file)
    with file.open("a") as cut_off:
        cut_off.write('[["p", ["c"]], {"state": "giv')  # killed while it wrote
    (tmp_path / "fails").write_text("-1")
    resumed = judge(asked, config, unfinished=file)
    assert len((tmp_path / "asked").read_text().splitlines()) == 6
    assert resumed.equals(judge(asked, config))
    assert resumed["scores"].explode().unique().sort().to_list() == [1 / 3, 2 / 3]


def test_an_error_says_how_labels_are_kept_only_where_there_are_some(asked, function, tmp_path):
    config = AnnotationConfig(annotator="function", params={"function": function})
    kept = LabelStore(tmp_path / "labels")
    (tmp_path / "fails").write_text("0")
    with pytest.raises(UserCodeError, match=r"'p\d'\. Mend the annotator and run the same c") as at:
        buy_labels(asked, config, 6, kept, seed=0)
    assert "kept" not in str(at.value)
    (tmp_path / "fails").write_text("2")
    with pytest.raises(UserCodeError, match="would be asked again") as at:
        buy_labels(asked, config, 6, kept, seed=0)
    (holding,) = holdings(kept)
    assert f"type `prefopt labels name {holding.id} NAME --yes`" in str(at.value)
    assert "run with `annotation.name=NAME`" in str(at.value)
    named = config.model_copy(update={"name": "rules"})
    with pytest.raises(UserCodeError, match=r"'p\d'\. The labels bought so far are kept; mend"):
        buy_labels(asked, named, 6, kept, seed=0)
