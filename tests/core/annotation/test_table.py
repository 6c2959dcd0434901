"""Verdicts of a whole table: checked one by one, and bought within a budget."""

import json

import polars as pl
import pytest

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.table import buy_labels, judge, labels_to_buy
from prefopt_core.evaluation.diagnostics import labels_bought
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.errors import (
    AwaitingLabelsError,
    ConfigError,
    DataError,
    OverBudgetError,
)
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.prompts import from_file
from prefopt_core.labels.account import Allowance, balance_of
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.budget import within_budget
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Question, Shown, Verdict
from prefopt_core.labels.store import LabelStore
from tests.annotators import OwnAnnotation


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


def test_annotator_may_know_who_wrote_a_response(tables):
    prompts, candidates, selections = tables
    writer = pl.when(pl.col("response") == "bb").then(pl.lit("weak")).otherwise(pl.lit("strong"))
    params = {"writers": ["strong", "weak"]}
    config = AnnotationConfig(annotator="by-writer", params=params)
    table = verdicts((prompts, candidates.with_columns(policy=writer), selections), config)
    texts = dict(candidates.select("candidate_id", "response").iter_rows())
    said = {
        texts[one]: score
        for row in table.iter_rows(named=True)
        for one, score in zip(row["responses"], row["scores"], strict=True)
    }
    assert (table.height, said) == (4, {"bb": -2.0, "ccc": -1.0})


@pytest.mark.parametrize("score", ["float('nan')", "float('-inf')", "'good'", "[1]", "{}"])
def test_what_is_no_finite_number_is_told_with_its_texts(tables, annotator, score):
    message = r"(?s)'function' gave .* for the response 'bb' to the prompt 'p0'; expected a finite"
    with pytest.raises(DataError, match=message):
        verdicts(tables, annotator(score))


def buy(tables, config, labels, store, allowance=None, seed=0):
    prompts, candidates, selections = tables
    asked = Asked(selections, candidates, prompts)
    table = buy_labels(asked, config, labels, store, seed=seed, allowance=allowance)
    return check_table("verdicts", table)


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
    with pytest.raises(DataError, match="The labels it gave are kept"):
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


# --- comparisons, rankings, people --------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path / "s")


@pytest.fixture
def sided(tmp_path):
    """An annotator that prefers what is shown first, and what it was shown."""
    notes = tmp_path / "notes"

    def sided(**params):
        params = {"notes": str(notes)} | params
        return OwnAnnotation(annotator="first-is-better", params=params, price=0.5, name="sided")

    sided.asked = lambda: notes.read_text().splitlines() if notes.exists() else []
    return sided


def all_three(tables):
    """The same prompts with all three responses selected."""
    prompts, candidates, _ = tables
    selections = candidates.select("prompt_id", "candidate_id", rank=pl.col("sample"))
    return prompts, candidates, selections


def spent(store, account="team"):
    with store.connected() as connection:
        balance = balance_of(connection, account)
    assert (balance.held_labels, balance.held_cost) == (0, 0.0)
    return balance.labels, balance.cost


def test_both_orders_of_a_pair_are_two_verdicts_and_one_label(tables, sided, store):
    config, allowance = sided(), Allowance("team", 3)
    assert labels_to_buy(tables[2], config, 3, store, seed=0) == 3
    table = buy(tables, config, 3, store, allowance)
    assert (table.height, table["prompt_id"].n_unique()) == (6, 3)
    assert (table["preference"] == 0.9).all()
    assert (table["why"] == "It came first.").all()
    for _, rows in table.group_by("prompt_id"):
        first, second = rows["responses"].to_list()
        assert first == second[::-1]
    assert sorted(sided.asked()) == ["bb ccc"] * 3 + ["ccc bb"] * 3
    assert spent(store) == (3, 1.5)
    assert next(labels_bought(table)) == ("labels", 3, 3)


def test_one_order_is_asked_where_one_is_set(tables, sided, store):
    table = buy(tables, sided(orders="one"), 99, store)
    assert table.height == len(sided.asked()) == 4


def test_a_label_whose_other_order_is_missing_is_completed_for_nothing(tables, sided, store):
    allowance = Allowance("team", 4)
    with pytest.raises(RuntimeError, match="ill"):
        buy(tables, sided(answers=5), 4, store, allowance)
    assert spent(store) == (3, 1.5)
    assert labels_to_buy(tables[2], sided(), 4, store, seed=0) == 1
    assert buy(tables, sided(), 4, store, allowance).height == 8
    assert spent(store) == (4, 2.0)
    assert len(sided.asked()) == 8


def test_to_show_both_orders_after_one_costs_no_further_label(tables, sided, store):
    allowance = Allowance("team", 4)
    buy(tables, sided(orders="one"), 4, store, allowance)
    assert labels_to_buy(tables[2], sided(), 4, store, seed=0) == 0
    assert buy(tables, sided(), 4, store, allowance).height == 8
    assert spent(store) == (4, 2.0)


@pytest.mark.parametrize(("labels", "prompts"), [(3, 1), (5, 1), (6, 2), (99, 4)])
def test_all_pairs_of_three_are_three_labels_and_prompts_are_whole(
    tables, sided, store, labels, prompts
):
    table = buy(all_three(tables), sided(orders="one"), labels, store)
    assert table["prompt_id"].value_counts()["count"].to_list() == [3] * prompts
    assert set(table["responses"].list.len()) == {2}


def test_a_ranking_is_one_label(tables, annotator, store):
    params = {"function": annotator("len(response)").params["function"], "ask": "rank"}
    config = AnnotationConfig(annotator="simulated", params=params)
    table = buy(all_three(tables), config, 2, store)
    assert table.height == 2
    texts = dict(tables[1].select("candidate_id", "response").iter_rows())
    for responses, scores in table.select("responses", "scores").iter_rows():
        assert [len(texts[one]) for one in responses] == scores


@pytest.mark.parametrize("allowance", [Allowance("team", 3), Allowance("team", 9, 1.9)])
def test_of_what_does_not_fit_into_the_runs_budget_whole_prompts_are_bought(
    tables, sided, store, allowance
):
    table = buy(tables, sided(), 4, store, allowance)
    labels = min(3, int((allowance.cost or 9) / 0.5))
    assert (table.height, table["prompt_id"].n_unique()) == (2 * labels, labels)
    assert spent(store) == (labels, labels * 0.5)
    assert buy(tables, sided(), 4, store, Allowance("team", 9, 2.0)).height == 8
    assert (len(sided.asked()), spent(store)) == (8, (4, 2.0))


def test_of_a_prompt_that_the_runs_budget_does_not_pay_for_nothing_is_asked(tables, sided, store):
    triples, config = all_three(tables), sided(orders="one")
    with pytest.raises(OverBudgetError, match=r"12 labels are to be bought and 2 of 2 are left"):
        buy(triples, config, 12, store, Allowance("other", 2))
    with pytest.raises(OverBudgetError, match=r"6 may be spent next, and 0\.4 of 0\.4 is left"):
        buy(triples, config, 12, store, Allowance("other", 12, 0.4))
    assert (sided.asked(), spent(store, "other")) == ([], (0, 0.0))
    table = buy(triples, config, 12, store, Allowance("team", 5))
    assert (table.height, table["prompt_id"].n_unique(), spent(store)[0]) == (3, 1, 3)


def test_labels_that_are_known_take_nothing_from_a_budget(tables, sided, store):
    buy(tables, sided(), 4, store, Allowance("team", 4))
    assert buy(tables, sided(), 4, store, Allowance("another", 0)).height == 8
    assert buy(tables, sided(), 4, store, Allowance("team", 4)).height == 8
    assert (spent(store), spent(store, "another")) == ((4, 2.0), (0, 0.0))


def test_people_are_left_the_questions_and_the_table_comes_when_they_have_answered(tables, store):
    people = AnnotationConfig(annotator="people")
    for _ in range(2):  # asked again while they have not answered
        with pytest.raises(AwaitingLabelsError, match=r"^awaiting 4 labels from people"):
            buy(tables, people, 4, store, Allowance("team", 4))
    with store.connected() as connection:
        rows = connection.execute("SELECT prompt_id, responses, wanted FROM questions").fetchall()
        texts = {text for (text,) in connection.execute("SELECT text FROM texts")}
    assert {wanted for *_, wanted in rows} == {1}
    assert {"bb", "ccc"} < texts
    with buying(store, identity(people), Allowance("team", 4)) as purchase:
        for prompt_id, responses, _ in rows:
            shown = tuple(Shown(one, "") for one in json.loads(responses))
            purchase.commit(Question(prompt_id, (), shown), Verdict("tie", by="Mary", seconds=2.0))
    table = buy(tables, people, 4, store, Allowance("team", 4))
    assert table.select("by", "state", "seconds").unique().rows() == [("Mary", "tie", 2.0)]
    assert (table.height, spent(store)) == (4, (4, 0.0))


def test_in_the_overlap_several_people_are_waited_for(tables, store):
    people = AnnotationConfig(annotator="people", params={"people": 3, "overlap": 1.0})
    assert labels_to_buy(tables[2], people, 7, store, seed=0) == 6  # two prompts, three people
    with pytest.raises(AwaitingLabelsError, match=r"^awaiting 6 labels"):
        buy(tables, people, 7, store)
    with store.connected() as connection:
        assert connection.execute("SELECT wanted FROM questions").fetchall() == [(3,), (3,)]


def test_people_cannot_judge_for_free(tables):
    with pytest.raises(ConfigError, match="'people' answers later, and only `annotation` can wait"):
        verdicts(tables, AnnotationConfig(annotator="people"))


NO_VERDICTS = {
    "a number": ("4.0", "gave 4.0, which is no verdict for the response 'bb'"),
    "two scores": ("Verdict.scored(1.0, 2.0)", "which is no verdict for the response 'bb'"),
    "a preference": ("Verdict.preferred(0.9)", "which is no verdict for the response 'bb'"),
}


@pytest.mark.parametrize(("verdict", "message"), NO_VERDICTS.values(), ids=NO_VERDICTS)
def test_what_is_no_verdict_on_the_question_is_told_and_not_kept(tables, store, verdict, message):
    config = OwnAnnotation(annotator="as-written", params={"verdict": verdict})
    with pytest.raises(DataError, match=message):
        buy(tables, config, 8, store)
    assert store.counts() == []


def test_whole_numbers_are_scores_too(tables, store):
    config = OwnAnnotation(annotator="as-written", params={"verdict": "Verdict.scored(3)"})
    assert buy(tables, config, 2, store)["scores"].to_list() == [[3.0], [3.0]]
    assert buy(tables, config, 2, store)["scores"].to_list() == [[3.0], [3.0]]


def test_people_are_asked_what_the_runs_budget_pays_for_and_no_more(tables, store):
    people, allowance = AnnotationConfig(annotator="people"), Allowance("team", 3)
    for _ in range(2):
        with pytest.raises(AwaitingLabelsError, match=r"^awaiting 3 labels from people") as waits:
            buy(tables, people, 4, store, allowance)
        assert (waits.value.left, waits.value.done) == (3, 0)
    with store.connected() as connection:
        rows = connection.execute("SELECT prompt_id, responses FROM questions").fetchall()
    with buying(store, identity(people), allowance) as purchase:
        for prompt_id, responses in rows:
            shown = tuple(Shown(one, "") for one in json.loads(responses))
            purchase.commit(Question(prompt_id, (), shown), Verdict("tie", by="Mary"))
    assert buy(tables, people, 4, store, allowance).height == 3
    assert spent(store) == (3, 0.0)
