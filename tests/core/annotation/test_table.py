"""Verdicts of a whole table: checked one by one, and bought within a budget."""

import polars as pl
import pytest

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.table import buy_labels, judge, labels_to_buy
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.prompts import from_file
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.budget import within_budget
from prefopt_core.labels.store import LabelStore


@pytest.fixture
def tables(write):
    """(prompts, candidates, selections): four prompts, two of three responses selected."""
    rows = [{"prompt": f"p{i}", "responses": ["a", "bb", "ccc"]} for i in range(4)]
    path = write("c.jsonl", rows)
    prompts = from_file(0, path=str(path))
    config = GenerationConfig(generator="file", params={"path": str(path)})
    candidates = generate_candidates(prompts, None, config, seed=0)
    selections = candidates.filter(pl.col("sample") > 0).select(
        "prompt_id", "candidate_id", rank=pl.col("sample") - 1
    )
    return prompts, candidates, selections


@pytest.fixture
def annotator(write, tmp_path):
    """Config of a function that writes down what it is asked."""

    def annotator(body):
        code = (
            f"def score(prompt, response):\n"
            f"    open({str(tmp_path / 'asked')!r}, 'a').write(f'{{prompt}} {{response}}\\n')\n"
            f"    return {body}\n"
        )
        function = f"{write('scorer.py', code)}:score"
        return AnnotationConfig(annotator="function", params={"function": function})

    return annotator


def verdicts(tables, config):
    prompts, candidates, selections = tables
    table = judge(Asked(selections, candidates, prompts), config)
    return check_table("verdicts", table)


def test_every_selected_response_gets_its_verdict(tables, annotator):
    table = verdicts(tables, annotator("len(response)"))
    asked = table.select("prompt_id", candidate_id=pl.col("responses").list.first())
    assert asked.equals(tables[2].drop("rank"))
    assert table["scores"].to_list() == [[2.0], [3.0]] * 4
    assert (set(table["state"]), set(table["annotator"])) == ({"given"}, {"function"})


def test_no_verdict_is_a_row_that_was_skipped(tables, annotator):
    table = verdicts(tables, annotator("None if response == 'bb' else 1"))
    assert table["scores"].to_list() == [None, [1.0]] * 4
    assert table["state"].to_list() == ["skipped", "given"] * 4


@pytest.mark.parametrize("score", ["float('nan')", "float('-inf')", "'good'", "[1]", "{}"])
def test_what_is_no_finite_number_is_told_with_its_texts(tables, annotator, score):
    message = r"(?s)'function' gave .* for the response 'bb' to the prompt 'p0'; expected a finite"
    with pytest.raises(DataError, match=message):
        verdicts(tables, annotator(score))


def buy(tables, config, labels, store, seed=0):
    prompts, candidates, selections = tables
    return buy_labels(Asked(selections, candidates, prompts), config, labels, store, seed=seed)


@pytest.mark.parametrize(("labels", "bought"), [(2, 2), (3, 2), (4, 4), (99, 8)])
def test_whole_prompts_are_bought_within_the_budget(tables, annotator, tmp_path, labels, bought):
    table = buy(tables, annotator("len(response)"), labels, LabelStore(tmp_path / "s"))
    assert table.height == bought
    assert table["prompt_id"].value_counts()["count"].to_list() == [2] * (bought // 2)


def test_label_is_bought_once_whoever_asks_again(tables, annotator, tmp_path):
    config, store = annotator("len(response)"), LabelStore(tmp_path / "s")
    assert labels_to_buy(tables[2], config, 4, store, seed=0) == 4
    first = buy(tables, config, 4, store)
    assert labels_to_buy(tables[2], config, 6, store, seed=0) == 2
    assert buy(tables, config, 6, store)[:4].equals(first)
    assert buy(tables, config, 6, store).height == 6
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == len(set(asked)) == 6


def test_labels_before_a_bad_verdict_are_kept(tables, annotator, tmp_path):
    store = LabelStore(tmp_path / "s")
    body = "1.0 if open({path!r}).read().count('\\n') < 4 else 'bad'"
    config = annotator(body.format(path=str(tmp_path / "asked")))
    with pytest.raises(DataError, match="Labels bought so far are kept"):
        buy(tables, config, 8, store)
    assert labels_to_buy(tables[2], config, 8, store, seed=0) == 5


def test_other_prompts_do_not_change_who_is_bought_first(tables):
    selections = tables[2]
    first = within_budget(selections, 4, seed=1)
    fewer = selections.filter(~pl.col("prompt_id").is_in(first["prompt_id"].implode()))
    assert within_budget(selections, 8, seed=1)[4:].equals(within_budget(fewer, 8, seed=1))


def test_budget_below_one_prompt_is_told(tables):
    with pytest.raises(
        ConfigError, match=r"1 labels cannot pay .*2 responses .*takes 2.*selection\.k"
    ):
        within_budget(tables[2], 1, seed=0)
