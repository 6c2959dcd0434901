"""What is exported and imported again is the same: questions and verdicts, whatever is in them."""

import csv
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.exchange.files import format_of
from prefopt_core.exchange.pairs import BOTH_ORDERS
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of, last_text, prompt_id_of
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Question, Shown, Verdict
from prefopt_core.labels.words import verdict_in, word_of

HOSTILE = [
    '=HYPERLINK("http://evil","x")', "+1", "-1+2", "@SUM(A1)", "'=1", "''+", "\t=1", "1/2", "007",
    "TRUE", "Mar 5", "1e5", "a,b;c\td", 'say "hi"', "line\nline", "line\r\nline", "\r", "", " x ",
    "</script><script>alert(1)</script>", "<!--", "<img src=x onerror=alert(1)>", "\u2028", "q2-12",
    "\ufeff", '[{"role": "user", "content": "x"}]', "[{", "\n\nHuman: hi\n\nAssistant: ho",
]  # fmt: skip
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
TEXTS = ANY | st.sampled_from(HOSTILE)
SCORES = st.floats(allow_nan=False, allow_infinity=False)
STATES = st.sampled_from(["tie", "both_bad", "skipped", "invalid"])
NAMES = st.sampled_from(["", "alice", "=cmd", "Bob O'Neil", "模型"])


def given_to(size):
    """Everything that a verdict on so many responses may say."""
    scores = st.lists(SCORES, min_size=size, max_size=size).map(lambda s: Verdict.scored(*s))
    ranks = st.lists(st.integers(1, size), min_size=size, max_size=size).map(Verdict.ranked)
    said = STATES.map(Verdict) | scores | ranks
    if size == 2:
        said |= st.floats(0, 1).map(Verdict.preferred) | st.sampled_from([0.0, 1.0]).map(
            Verdict.preferred
        )
    return said


@st.composite
def entries(draw, sizes=(1, 2, 3, 5)):
    messages = draw(
        st.builds(lambda text: [{"role": "user", "content": text}], TEXTS)
        | st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": TEXTS}),
            min_size=1,
            max_size=3,
        )
    )
    size = draw(st.sampled_from(sizes))
    responses = draw(st.lists(TEXTS, min_size=size, max_size=size, unique=True))
    prompt_id = prompt_id_of(messages)
    shown = tuple(Shown(candidate_id_of(prompt_id, text), text) for text in responses)
    question = Question(prompt_id, messages, shown)
    verdict = draw(st.none() | given_to(size))
    if verdict:
        numbers = st.none() | st.integers(0, 10**6)
        verdict = replace(
            verdict,
            by=draw(NAMES),
            why=draw(TEXTS),
            usage=Usage(draw(numbers), draw(numbers), draw(st.none() | st.floats(0, 1e3))),
            seconds=draw(st.none() | st.floats(0, 1e6)),
        )
    at = draw(st.none() | st.integers(0, 2**31).map(float)) if verdict else None
    return Entry(question.question_id, question, verdict, '{"people":{}}', "1", at=at)


def usual():
    """An entry that every format can hold."""
    messages = [{"role": "user", "content": "Which?"}]
    prompt_id = prompt_id_of(messages)
    shown = tuple(Shown(candidate_id_of(prompt_id, text), text) for text in ("this", "that"))
    question = Question(prompt_id, messages, shown)
    return Entry(question.question_id, question, Verdict.preferred(1.0))


USUAL = usual()


def there_and_back(format, entries, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{ending}"
        lost = list(WRITERS[format](entries, path))
        return path.read_bytes(), lost, list(READERS[format](path))


@given(st.integers(1, 6).flatmap(lambda size: st.tuples(given_to(size), st.just(size))))
def test_a_word_says_all_of_a_verdict(said):
    verdict, size = said
    assert verdict_in(word_of(verdict), size) == verdict


@given(st.lists(entries(), min_size=1, max_size=4))
def test_csv_holds_everything(asked):
    _, lost, back = there_and_back("csv", asked, ".csv")
    assert lost == []
    assert [replace(entry, where="") for entry in back] == asked


@given(st.lists(entries(), min_size=1, max_size=4))
def test_no_cell_of_a_csv_is_a_formula_or_a_date_to_a_spreadsheet(asked):
    data, _, _ = there_and_back("csv", asked, ".csv")
    assert data.startswith(b"\xef\xbb\xbf")
    for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")):
        for name in ("prompt", "response_1", "by", "why", "annotator"):
            assert not (row.get(name) or "").startswith(tuple("=+-@\t\r0123456789"))


@given(st.lists(entries(sizes=(2,)), min_size=1, max_size=4))
def test_label_studio_holds_what_people_say(asked):
    asked = [e for e in asked if not e.verdict or e.verdict.state != "invalid"] or [USUAL]
    _, _, back = there_and_back("label-studio", asked, ".json")
    assert [entry.question for entry in back] == [entry.question for entry in asked]
    for before, after in zip(asked, back, strict=True):
        _is_the_same_but_for_how_sure(before, after)


@given(st.lists(entries(sizes=(2, 3)), min_size=1, max_size=4, unique_by=lambda e: e.question_id))
def test_argilla_holds_what_people_say(asked):
    asked = [e for e in asked if not e.verdict or e.verdict.state != "invalid"] or [USUAL]
    _, _, back = there_and_back("argilla", asked, ".json")
    assert [entry.question for entry in back] == [entry.question for entry in asked]
    for before, after in zip(asked, back, strict=True):
        _is_the_same_but_for_how_sure(before, after)


def _is_the_same_but_for_how_sure(before, after):
    assert (after.question_id, after.annotator, after.guidelines) == (
        before.question_id, before.annotator, before.guidelines,
    )  # fmt: skip
    if before.verdict is None:
        assert after.verdict is None
        return
    assert (after.verdict.by, after.verdict.why) == (before.verdict.by, before.verdict.why)
    assert _order(after.verdict) == _order(before.verdict)


def _order(verdict):
    """Who is better than whom, or why nobody is said to be."""
    if verdict.state != "given":
        return verdict.state
    scores = verdict.scores or (verdict.preference, 1 - verdict.preference)
    if len(set(scores)) == 1:
        return "tie"
    return [(a > b) - (a < b) for a in scores for b in scores]


@pytest.mark.parametrize(
    ("format", "ending"),
    [("csv", ".csv"), ("label-studio", ".json"), ("argilla", ".json"), ("trl", ".jsonl"),
     ("ultrafeedback", ".parquet"), ("hh-rlhf", ".jsonl"), ("nectar", ".json"),
     ("helpsteer2", ".jsonl"), ("helpsteer3", ".parquet")],
)  # fmt: skip
def test_a_file_says_what_it_is(format, ending, ask, tmp_path):
    question = ask("Which?", "this", "that")
    verdict = Verdict.preferred(1.0, by="alice")
    path = tmp_path / f"file{ending}"
    list(WRITERS[format]([Entry(question.question_id, question, verdict)], path))
    read_as = {"hh-rlhf": "trl"}.get(format, format)
    assert format_of(path) == read_as
    (back,) = READERS[format_of(path)](path)
    said = dict(zip(back.question.key[1], _chances(back.verdict), strict=True))
    assert said == dict(zip(question.key[1], (1.0, 0.0), strict=True))


def _chances(verdict):
    p = verdict.probability()
    return p, 1 - p


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


@pytest.mark.parametrize("format", ["nectar", "helpsteer2", "helpsteer3"])
@pytest.mark.parametrize(
    ("orders", "probability"),
    [
        (((1.0, 0.0), (0.0, 1.0)), 1.0),  # the same response is better in both orders
        (((1.0, 0.0), (1.0, 0.0)), 0.5),  # always the first
        (((0.0, 3.0), (1.0, 0.0)), 0.0),
    ],
)
def test_both_orders_of_a_pair_are_one_row(format, orders, probability, ask, tmp_path):
    question, other = ask("Which?", "this", "that"), ask("And?", "a", "b")
    entries = [
        Entry(one.question_id, one, Verdict.scored(*scores, by="judge"))
        for one, scores in zip((question, question.turned()), orders, strict=True)
    ]
    entries.append(Entry(other.question_id, other, Verdict.preferred(1.0, by="judge")))
    path = tmp_path / "file.jsonl"
    lost = list(WRITERS[format](entries, path))
    assert BOTH_ORDERS in lost
    found = {entry.question.prompt_id: entry for entry in READERS[format](path)}
    assert len(path.read_text().splitlines()) == len(found)
    if format == "nectar" and probability == 0.5:
        assert found.keys() == {other.prompt_id}
        return
    back = found[question.prompt_id]
    said = dict(zip(back.question.key[1], _chances(back.verdict), strict=True))
    assert said[question.key[1][0]] == probability


def test_what_people_say_in_either_order_is_one_row_of_helpsteer3(ask, tmp_path):
    question, path = ask("Which?", "this", "that"), tmp_path / "file.jsonl"
    entries = [
        Entry(one.question_id, one, Verdict.preferred(p, by=by))
        for one, p, by in ((question, 1.0, "Ada"), (question.turned(), 0.0, "Ben"))
    ]
    list(WRITERS["helpsteer3"](entries, path))
    (row,) = map(json.loads, path.read_text().splitlines())
    assert row["response1"] == "this"
    assert [person["score"] for person in row["individual_preference"]] == [-2, -2]


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
