"""Labels and recorded scores.

Whose labels these are, which are bought again, and scores that may not mean what they seem to.
"""

import json
from itertools import pairwise
from types import SimpleNamespace

import pytest

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.annotation.asking import Asking
from prefopt_core.annotation.identity import doubts_of_labels
from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.annotation.table import judge
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import LabelStore

JUDGE = "def score(prompt, response):\n    return len(response)\n"


@pytest.fixture
def paid(buy, tmp_path):
    """How many labels each of several purchases adds to one store."""

    def paid(*configs):
        store, counts = LabelStore(tmp_path / "store"), [0]
        for config in configs:
            buy(config() if callable(config) else config, 10)
            counts.append(sum(count for *_, count in store.counts()))
        added = [now - before for before, now in pairwise(counts)]
        return ", then ".join(map(str, added))

    return paid


@pytest.fixture
def function(tmp_path):
    """An annotator by a function in a folder of the test's own."""

    def function(folder="a", code=JUDGE, **settings):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "judge.py").write_text(code)
        params = {"function": f"{tmp_path / folder}/judge.py:score"}
        return AnnotationConfig(annotator="function", params=params, **settings)

    return function


@pytest.mark.case(
    "The same judge in another folder",
    reports="huggingface/datasets#2496",
    before="10, then 10",
    expected="10, then 0",
)
def test_a_judge_that_moved(paid, function):
    return paid(function("a"), function("b"))


EDITED = JUDGE.replace("len", "-len")


@pytest.mark.case(
    "A judge whose function is edited is another annotator",
    reports="huggingface/datasets#3297",
    before="10, then 0: the old scores stood, without a word",
    expected="10, then 10",
)
def test_an_edited_judge(paid, function):
    return paid(function, lambda: function(code=EDITED))


@pytest.mark.case(
    "… unless it has a name: then its labels stay, and that is said",
    reports="tried here",
    before="there were no names",
    expected="10, then 0; 10 labels of 'rules' were given before its settings or its function…",
)
def test_an_edited_judge_with_a_name(paid, function, tmp_path):
    added = paid(lambda: function(name="rules"), lambda: function(code=EDITED, name="rules"))
    store = LabelStore(tmp_path / "store")
    (doubt,) = doubts_of_labels(function(code=EDITED, name="rules"), store)
    return f"{added}; {doubt}"


@pytest.mark.case(
    "A store of an earlier version, which kept labels by the path of the function",
    reports="tried here",
    before="20 of 10: the file that moved bought them all again",
    expected="10 of 10 are found, and once more after the file moved",
)
def test_a_store_of_an_earlier_version(function, buy, tmp_path):
    store, config = LabelStore(tmp_path / "store"), function("a")
    buy(config, 10)
    path = config.params["function"]
    with store.connected() as connection:  # as it was written then
        canonical = json.dumps({"function": {"function": path}}, separators=(",", ":"))
        connection.execute("UPDATE verdicts SET annotator = ?", (canonical,))
        connection.execute("ALTER TABLE verdicts DROP COLUMN digest")
    found = buy(config, 10)
    again = buy(function("b"), 10)
    count = sum(count for *_, count in store.counts())
    assert found == again
    return f"{count} of {len(found)} are found, and once more after the file moved"


@pytest.mark.case(
    "`guidelines: 2`, a whole number in YAML",
    reports="tried here",
    before="refused: guidelines: Input should be a valid string",
    expected="2",
)
def test_guidelines_are_a_number(function):
    return function(guidelines=2).guidelines


# --- recorded scores ---------------------------------------------------------------------------


@pytest.fixture
def doubts(write):
    """What is said of recorded scores before a run: rows of (prompt, response, score)."""

    def doubts(*rows, name="r.jsonl", column="score", **params):
        records = [dict(zip(("prompt", "response", column), row, strict=True)) for row in rows]
        if name.endswith(".csv"):
            lines = [",".join(map(str, row)) for row in rows]
            records = f"prompt,response,{column}\n" + "\n".join(lines)
        params = {"path": str(write(name, records)), "score": column} | params
        config = AnnotatorConfig(annotator="replay", params=params)
        return " ".join(config.check()) or "no doubts"

    return doubts


RANKS = [(f"Question {i}?", f"Answer {j}.", j) for i in range(6) for j in (1, 2, 3)]


@pytest.mark.case(
    "A column `rank`, in which 1 is the best",
    reports="fe1ixxu/ALMA#46",
    before="trained on every pair the wrong way round",
    expected="r.jsonl: the column is called 'rank': if the best response has the lowest, every…",
)
def test_a_column_of_ranks(doubts):
    return doubts(*RANKS, column="rank")


@pytest.mark.case(
    "Ranks in a column `score`",
    reports="ContextualAI/HALOs#2",
    before="trained on every pair the wrong way round",
    expected="r.jsonl: in all 6 prompts the scores in 'score' are 1, 2, … once each: if the best…",
)
def test_ranks_by_their_values(doubts):
    return doubts(*RANKS)


@pytest.mark.case(
    "Ratings of 1 to 5, some of them 1 and 2",
    reports="–",
    before="right",
    expected="no doubts",
)
def test_ratings(doubts):
    return doubts(*(("ab"[i % 2] + str(i), str(j), (i * 7 + j * 3) % 5 + 1)
                    for i in range(8) for j in (1, 2)))  # fmt: skip


@pytest.mark.case(
    "One response with the scores 4 and 1",
    reports="tried here",
    before="its mean was taken without a word",
    expected="r.jsonl: 1 responses have several scores that differ (line 1: 4 and line 3: 1); the…",
)
def test_a_contradiction(doubts):
    return doubts(("Q", "a", 4), ("Q", "b", 2), ("Q", "a", 1))


@pytest.mark.case(
    "The same score twice is no contradiction",
    reports="–",
    before="right",
    expected="no doubts",
)
def test_a_repetition(doubts):
    return doubts(("Q", "a", 4), ("Q", "b", 2), ("Q", "a", 4))


@pytest.mark.case(
    "true and false as scores",
    reports="tried here",
    before="taken as 1 and 0 without a word",
    expected="r.jsonl: 2 of 3 scores in 'score' are true or false, taken as 1 and 0 (line 1; line…",
)
def test_truths(doubts):
    return doubts(("Q", "a", True), ("Q", "b", False), ("Q", "c", 3))


@pytest.mark.case(
    'Numbers as texts, `"4"`, in JSON',
    reports="tried here",
    before="taken for numbers without a word",
    expected="r.jsonl: 2 of 2 scores in 'score' are texts, taken for the numbers that they spell…",
)
def test_numbers_as_texts(doubts):
    return doubts(("Q", "a", "4"), ("Q", "b", "5"))


@pytest.mark.case(
    "Numbers in a CSV, where all is text",
    reports="–",
    before="right",
    expected="no doubts",
)
def test_numbers_of_a_csv(doubts):
    return doubts(("Q", "a", 4), ("Q", "b", 5.5), name="r.csv")


@pytest.mark.case(
    "`1_000`, which Python reads as 1000",
    reports="tried here",
    before="1000",
    expected="refused: r.csv, row 1: 'score' is '1_000', not a finite number…",
)
def test_an_underscore(doubts):
    return doubts(("Q", "a", "1_000"), ("Q", "b", 5), name="r.csv")


@pytest.mark.case(
    "All scores are equal",
    reports="tried here",
    before="found after sampling: no pair can be made",
    expected="r.jsonl: all 4 scores in 'score' are 1, so no response is better than another…",
)
def test_all_equal(doubts):
    return doubts(*(("Q", str(i), 1.0) for i in range(4)))


@pytest.mark.case(
    "The texts NaN and inf among the scores",
    reports="–",
    before="right",
    expected="refused: r.csv, row 2: 'score' is 'NaN', not a finite number…",
)
def test_not_a_number(doubts):
    return doubts(("Q", "a", 1), ("Q", "b", "NaN"), name="r.csv")


@pytest.mark.case(
    "Rows without a score, which `missing: skip` leaves out",
    reports="tried here",
    before="left out without a word",
    expected="r.csv: 2 of 4 rows have no finite number in 'score' and leave their responses…",
)
def test_rows_that_are_skipped(doubts):
    rows = [("Q", "a", 1), ("Q", "b", "inf"), ("Q", "c", ""), ("Q", "d", 3)]
    return doubts(*rows, name="r.csv", missing="skip")


@pytest.mark.case(
    "An annotator of another package that gives one score for all responses",
    reports="huggingface/trl#6533",
    before="a ValueError: zip() argument 2 is shorter than argument 1",
    expected="refused: Annotator 'batch' gave 1 verdicts on 3 questions; expected one each, "
    "in ord…",
)
def test_one_score_for_all(asked, monkeypatch):
    def one_for_all(questions):
        yield Verdict.scored(1.0)

    one = SimpleNamespace(annotator="batch", asking=Asking(), member=lambda: one_for_all)
    return str(judge(asked("a", "b", "c"), one))


@pytest.mark.case(
    "An annotator of another package that raises",
    reports="tried here",
    before="a KeyError with its traceback",
    expected="refused: The annotator 'theirs' of judges 1.0 raised KeyError: 'x' (…test_labels.py…",
)
def test_a_plug_in_that_raises(asked, monkeypatch):
    def annotate(questions):
        """Raise."""
        yield from ({}["x"] for _ in questions)

    monkeypatch.setitem(ANNOTATORS.__dict__, "_others", {"theirs": None})
    monkeypatch.setattr(type(ANNOTATORS), "__getitem__", lambda self, name: annotate)
    monkeypatch.setattr(type(ANNOTATORS), "package", lambda self, name: "judges 1.0")
    return str(judge(asked("a"), AnnotatorConfig(annotator="theirs")))
