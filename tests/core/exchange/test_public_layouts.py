"""Layouts of public data sets: what they hold comes back, and what is lost is said."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import last_text
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict
from tests.core.exchange.drawn import USUAL, entries, there_and_back


@pytest.mark.parametrize("state", ["tie", "both_bad", "skipped", "invalid"])
@pytest.mark.parametrize("format", ["trl", "ultrafeedback", "hh-rlhf", "nectar"])
def test_pairs_say_which_verdicts_they_cannot_hold(format, state, ask, tmp_path):
    question = ask("Which?", "this", "that")
    path = tmp_path / "file.jsonl"
    held = Entry(question.question_id, question, Verdict.preferred(1.0))
    lost = list(
        WRITERS[format]([Entry(question.question_id, question, Verdict(state)), held], path)
    )
    assert any(sentence.startswith("1 ") for sentence in lost)
    assert len(path.read_text().splitlines()) == 1
    with pytest.raises(DataError, match="Nothing of this can stand in"):
        list(WRITERS[format]([Entry(question.question_id, question, Verdict(state))], path))


def test_a_ranking_is_all_its_pairs(ask, tmp_path):
    question = ask("Which?", "a", "b", "c")
    entry = Entry(question.question_id, question, Verdict.ranked([2, 1, 2], by="alice"))
    path = tmp_path / "pairs.jsonl"
    list(WRITERS["trl"]([entry], path))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pairs = [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows]
    assert pairs == [("b", "a"), ("b", "c")]


def test_probability_and_reason_stay_in_trls_layout(ask, tmp_path):
    question = ask("Which?", "this", "that")
    verdict = Verdict.preferred(0.25, by="judge", why="It is better.")
    path = tmp_path / "pairs.parquet"
    list(WRITERS["trl"]([Entry(question.question_id, question, verdict)], path))
    (back,) = READERS["trl"](path)
    second = question.responses[1].candidate_id
    chance = back.verdict.preference
    assert (chance if back.question.key[1][0] == second else 1 - chance) == 0.75
    assert (back.verdict.by, back.verdict.why) == ("judge", "It is better.")


@pytest.mark.parametrize("strength", range(-3, 4))
def test_helpsteers_strengths_stay(strength, write, tmp_path):
    row = {"prompt": "p", "response_1": "a", "response_2": "b", "preference_strength": strength}
    (entry,) = READERS["helpsteer2"](write("h.jsonl", [row]))
    assert [shown.text for shown in entry.question.responses] == ["a", "b"]
    p = entry.verdict.probability()
    assert p == (0.5 if strength == 0 else 1.0 if strength < 0 else 0.0)
    list(WRITERS["helpsteer2"]([entry], tmp_path / "again.jsonl"))
    assert json.loads((tmp_path / "again.jsonl").read_text()) == row


def test_turns_of_a_prompt_stay_in_helpsteer2(write, tmp_path):
    marked = "Hi\n<extra_id_1>Assistant\nHello\n\nyou\n<extra_id_1>User\nWell?"
    row = {"prompt": marked, "response_1": "a", "response_2": "b", "preference_strength": 1}
    (entry,) = READERS["helpsteer2"](write("h.jsonl", [row]))
    assert [(m["role"], m["content"]) for m in entry.question.prompt] == [
        ("user", "Hi"), ("assistant", "Hello\n\nyou"), ("user", "Well?"),
    ]  # fmt: skip
    list(WRITERS["helpsteer2"]([entry], tmp_path / "again.jsonl"))
    assert json.loads((tmp_path / "again.jsonl").read_text()) == row


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(entries(sizes=(2,)), min_size=1, max_size=3, unique_by=lambda e: e.question_id))
@pytest.mark.parametrize("format", ["trl", "ultrafeedback", "hh-rlhf", "nectar", "helpsteer2"])
def test_what_a_public_layout_holds_comes_back_or_is_counted_as_lost(format, asked):
    asked = [entry for entry in asked if entry.verdict and entry.question.prompt[-1]["content"]]
    told = [e for e in asked if _says_more(e.verdict) and e.question.prompt[-1]["role"] == "user"]
    told = [e for e in told if all(s.text.strip() for s in e.question.responses)]
    told = [e for e in told if last_text(e.question.prompt).strip()]
    told.append(USUAL)
    _, lost, back = there_and_back(format, told, ".jsonl")
    order = {e.question.compared: _better(e) for e in told}
    assert all(_better(entry) == order[entry.question.compared] for entry in back)
    assert len(back) == len(told) or any("left out" in sentence for sentence in lost)


def _says_more(verdict):
    p = verdict.probability()
    return p is not None and abs(p - 0.5) > 1e-9


def _better(entry):
    """Id of the better response."""
    return entry.question.key[1][0 if entry.verdict.probability() > 0.5 else 1]


def test_helpsteer3_has_a_verdict_for_each_person(write):
    people = [{"score": -2, "reasoning": "clear"}, {"score": 0, "reasoning": ""},
              {"score": 1, "reasoning": "shorter"}]  # fmt: skip
    row = {
        "context": [{"role": "user", "content": "p"}], "response1": "a", "response2": "b",
        "overall_preference": 0, "individual_preference": people,
    }  # fmt: skip
    said = [entry.verdict for entry in READERS["helpsteer3"](write("h.jsonl", [row]))]
    assert [verdict.probability() for verdict in said] == [1.0, 0.5, 0.0]
    assert [verdict.why for verdict in said] == ["clear", "", "shorter"]
    assert len({verdict.by for verdict in said}) == 3


def test_nectar_is_a_ranking_with_its_prompts_turns(write):
    row = {
        "prompt": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Well?\n\nAssistant: ",
        "answers": [
            {"answer": text, "model": "m", "rank": rank}
            for text, rank in (("best", 1.0), ("worst", 3.0), ("middle", 2.0))
        ],
    }
    (entry,) = READERS["nectar"](write("n.jsonl", [row]))
    assert [m["content"] for m in entry.question.prompt] == ["Hi", "Hello", "Well?"]
    texts = [shown.text for shown in entry.question.responses]
    scores = dict(zip(texts, entry.verdict.scores, strict=True))
    assert sorted(scores, key=scores.get, reverse=True) == ["best", "middle", "worst"]


def test_which_response_is_chosen_does_not_say_where_it_was_shown(write):
    rows = [{"prompt": f"p{i}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(200)]
    said = [entry.verdict.preference for entry in READERS["trl"](write("t.jsonl", rows))]
    assert 70 < sum(said) < 130


@pytest.mark.parametrize(
    ("turned", "pairs"), [(0.0, [("good", 1.0)]), (0.5, [("good", 0.75)]), (1.0, [])]
)
def test_both_orders_of_a_pair_are_one_pair(desk, ask, tmp_path, turned, pairs):
    asked, path = ask("Which?", "good", "bad"), tmp_path / "pairs.jsonl"
    desk.keep(
        (asked, Verdict.preferred(1.0, by="judge")),
        (asked.turned(), Verdict.preferred(turned, by="judge")),
        (ask("Sure?", "yes", "no"), Verdict.preferred(0.0, by="judge")),
    )
    lost = " ".join(WRITERS["trl"](desk.verdicts, path))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    said = {last_text(row["prompt"]): (last_text(row["chosen"]), row["confidence"]) for row in rows}
    assert said.pop("Sure?") == ("no", 1.0)
    assert list(said.values()) == pairs
    assert ("1 pairs are left out: what was said of their two orders" in lost) == (not pairs)
