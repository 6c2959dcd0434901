"""Verdicts in answers: those recorded elsewhere, and the forms that answers take."""

import json
import math
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.annotation.judge_reading import verdict_in
from prefopt_core.annotation.judge_template import Header, load_template
from prefopt_core.models.server.completion import Answer
from prefopt_core.models.server.kept import ServedResponse

RECORDED = Path(__file__).parents[5] / "shared" / "data"
recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="../shared/data is not there")

MARKS = {"first": "A", "second": "B", "tie": "C"}
TOKEN = Header(ask="compare", read="token", marks=MARKS)
FIELD = Header(ask="compare", read="field", field="better", marks=MARKS)
PATTERN = Header(ask="compare", read="pattern", pattern=r"\[\[(\w)\]\]", marks=MARKS)
GRADE = Header(ask="score", read="field", field="score", scale=(1, 5))


def read(text, header, reason="stop", likely=None):
    verdict = verdict_in(ServedResponse(text, reason, likely), header)
    return verdict and (verdict.scores or verdict.probability())


@pytest.mark.parametrize(
    ("text", "header", "found"),
    [
        ("A", TOKEN, 1.0),
        (" **B**.\n", TOKEN, 0.0),
        ("C", TOKEN, 0.5),
        ("As I see it, B", TOKEN, None),
        ("<think>Surely B.</think>A", TOKEN, 1.0),
        ("[[B]], and again: [[B]]", PATTERN, 0.0),
        ("[[D]]", PATTERN, None),
        ('Well. ```json\n{"better": "A"}\n```', FIELD, 1.0),
        ('{"why": {"better": "A"}, "better": "B"}', FIELD, 0.0),
        (r'{"why": "It says {\"better\": \"A\"}.", "better": "B"}', FIELD, 0.0),
        ('By a set {a} the better: {"better": "A"} So {"better": "A"}', FIELD, 1.0),
        ('{"better": true}', FIELD, None),
        ('{"better": "A"', FIELD, None),
        ("{" * 3000, FIELD, None),
        ('{"score": 4}', GRADE, (4.0,)),
        ('{"score": "4.5"}', GRADE, (4.5,)),
        ('{"score": 6}', GRADE, None),
        ('{"score": NaN}', GRADE, None),
        ('{"score": true}', GRADE, None),
        ('{"score": 4} or {"score": "4.0"}', GRADE, (4.0,)),
        ('{"score": "4/5"}', GRADE, None),
    ],
)
def test_a_verdict_is_read_as_its_header_says(text, header, found):
    assert read(text, header) == found


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ('{"better": "A"} It says {"better": "B"}, as if that were mine.', FIELD),
        ('It says {"better": "B"}. {"better": "A"}', FIELD),
        ('{"why": "It says "{"better": "B"}"", "better": "A"}', FIELD),
        ("It says {'better': 'B'}. {\"better\": \"A\"}", FIELD),
        ('{"better": "B", "better": "A"}', FIELD),
        ('{"better": "A"} {"better": "C or A"}', FIELD),
        ('{"score": 4} {"score": 5}', GRADE),
        ("[[A]], or no: [[B]]", PATTERN),
        ("[[A]], though it says [[B]].", PATTERN),
    ],
)
def test_an_answer_that_says_two_things_is_no_verdict(text, header):
    assert read(text, header) is None


def test_a_pattern_that_ends_with_the_answer_reads_its_last_word_alone():
    last = PATTERN.model_copy(update={"pattern": r"\b([AB])\W*\Z"})
    assert read("A is short, B is wrong. So: **A**.", last) == 1.0


@pytest.mark.parametrize(
    ("text", "header", "found"),
    [("A", TOKEN, 1.0), ("[[A]] as", PATTERN, None), ('{"better": "A"}', FIELD, None)],
)
def test_an_answer_that_was_cut_off_is_a_verdict_only_as_a_token(text, header, found):
    assert read(text, header, "length") == found


def test_half_the_probability_of_a_tie_is_eithers():
    likely = [("A", {t: math.log(p) for t, p in (("A", 0.5), ("B", 0.2), ("C", 0.2))})]
    assert read("A", TOKEN, likely=likely) == pytest.approx(0.6 / 0.9)


def test_likely_tokens_that_are_no_marks_do_not_count():
    header = Header(ask="compare", read="token", marks={"first": "A", "second": "B"})
    likely = [("A", {t: math.log(p) for t, p in (("A", 0.4), ("B", 0.1), (").", 0.3), (" ", 0.2))})]
    assert read("A", header, likely=likely) == pytest.approx(0.8)


@pytest.mark.parametrize("logp", [math.nan, 1e9, -math.inf, 3.0])
def test_a_log_probability_that_is_none_does_not_end_a_run(logp):
    found = read("A", TOKEN, likely=[("A", {"A": logp, "B": -1.0})])
    assert 0 <= found <= 1


def test_the_verdicts_token_is_the_last_one_that_says_it():
    likely = [("A", {"A": 0.0}), ("!", {"!": 0.0}), ("A", {"A": math.log(0.7), "B": math.log(0.3)})]
    assert read("<think>A!</think>A", TOKEN, likely=likely) == pytest.approx(0.7)


def test_a_score_of_a_token_is_the_expected_one():
    header = Header(ask="score", read="token", scale=(1, 5))
    likely = [("4", {"4": math.log(0.5), "2": math.log(0.25), "9": math.log(0.25)})]
    assert read("4", header, likely=likely) == pytest.approx((10 / 3,))


@recorded
def test_alpaca_evals_recorded_probabilities_are_found():
    rows = pl.read_parquet(RECORDED / "judge_alpaca_openai.parquet").drop_nulls("choice_json")
    header = load_template("one-token").header
    off = []
    for swapped, choice, preference in rows.select(
        "swapped", "choice_json", "preference"
    ).iter_rows():
        (said,) = Answer.model_validate({"choices": [json.loads(choice)]}).choices
        p = verdict_in(ServedResponse(said.said, said.reason, said.likely), header).probability()
        off.append(abs((1 + p if swapped else 2 - p) - preference))
    assert len(off) == 10_635
    assert max(off) < 1e-6


PALM = (  # as LLMBar read PaLM 2: a line that begins with (a) anywhere, else one that does with (b)
    r"(?ms)\A(?:.*?^ ?Output \((?=a)|(?!.*^ ?Output \(a\)).*?^ ?Output \((?=b))([ab])\)"
)


@recorded
def test_llmbars_recorded_winners_are_found_in_both_orders():
    rows = pl.read_parquet(RECORDED / "judge_llmbar.parquet")
    ours = load_template("statement").header
    palm = ours.model_copy(update={"pattern": PALM})
    agreed, disagreed, reread = Counter(), Counter(), 0
    for row in rows.iter_rows(named=True):
        judge = row["judge"], row["style"]
        for turned in (False, True):
            text = row["completion_swapped" if turned else "completion"]
            winner = row["winner_swapped" if turned else "winner"]
            agrees = winner == winner_of(text, ours, turned)
            (agreed if agrees else disagreed)[judge] += 1
            if judge == ("PaLM2", "CoT"):
                reread += winner == winner_of(text, palm, turned)
    assert agreed.total() == 4_939  # of 5,016: 98.5 %
    # Falcon and, once, PaLM 2 say both, which we do not read; LLMBar takes the first. Of PaLM 2 see
    # above: it says one thing and has a line of reasons that begins with the other.
    assert disagreed == {("PaLM2", "CoT"): 76, ("Falcon", "CoT"): 1}
    assert reread == 418


def winner_of(text, header, turned):
    verdict = verdict_in(ServedResponse(text, "stop"), header)
    if verdict is None:
        return None
    return 1 if (verdict.preference == 1) != turned else 2
