"""Structures that a program wrote as text.

A CSV has no lists, so lists of messages become Python's or NumPy's or JSON's text of them.
"""

import json

import polars as pl
import pytest

from prefopt_core.inputs.candidates import read_candidates
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.prompts import from_file

TURNS = [{"role": "system", "content": 'Don\'t "lie".'}, {"role": "user", "content": "Hi,\nyou"}]
SAID = 'system: Don\'t "lie". · user: Hi,\nyou'
SHAREGPT = [{"from": "human", "value": "Hi"}]
NUMPY = "[{'role': 'system', 'content': 'Be brief.'}\n {'role': 'user', 'content': 'Hi'}]"


def case(situation, cell, before, expected, reports="huggingface/datasets#4673", name="p.csv"):
    mark = pytest.mark.case(situation, reports=reports, before=before, expected=expected)
    return pytest.param(cell, name, marks=mark, id=situation)


def written(tmp_path, name, **columns):
    """A file with one row or more of cells; in a .jsonl they are texts as well."""
    path = tmp_path / name
    frame = pl.DataFrame({k: v if isinstance(v, list) else [v] for k, v in columns.items()})
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_ndjson(path)
    return path


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        case("Python's text of a list of messages", repr(TURNS), "user: [{'role': …", SAID),
        case("JSON of messages in a CSV", json.dumps(TURNS), 'user: [{"role": …', SAID),
        case(
            "JSON of messages as a text in JSONL", json.dumps(TURNS), 'user: [{"role": …', SAID,
            "tried here", "p.jsonl",
        ),
        case(
            "NumPy's text of messages, without commas", NUMPY, "user: [{'role': …",
            "system: Be brief. · user: Hi",
        ),
        case("ShareGPT's turns as Python's text", repr(SHAREGPT), "user: [{'from': …", "user: Hi"),
        case(
            "Messages as text, cut off", repr(TURNS)[:60], "user: [{'role': …",
            "refused: …a list of messages as text that cannot be read back…",
        ),
        case(
            "Messages as objects, as Python prints them", "[Message(role='user', content='Hi')]",
            "user: [Message(role=…", "refused: …a list of messages as text that cannot be read…",
        ),
        case(
            "Messages and tools in one object, as text",
            json.dumps({"messages": TURNS, "tools": []}), 'user: {"messages": …',
            "refused: …a list of messages as text that cannot be read…", "kakao/diatool-dpo#2",
        ),
        case(
            "Messages as text twice over", json.dumps(json.dumps(TURNS)), 'user: "[{\\"role\\": …',
            "refused: …a list of messages as text that cannot be read back…",
        ),
        case(
            "Messages with a call of a tool, as text",
            repr([{"role": "user", "content": "Hi", "tool_calls": [{"name": "f"}]}]),
            "user: [{'role': …", "refused: …message 1 carries 'tool_calls'…",
        ),
        case(
            "Bytes as Python prints them", repr(b"Hi"), "user: b'Hi'",
            "refused: …every value of this column is of bytes that a program wrote as text…",
        ),
        case(
            "A list of one text as Python prints it", repr(["Hi"]), "user: ['Hi']",
            "refused: …every value of this column is of lists that a program wrote as text…",
        ),
        case("A prompt that is JSON", '{"name": "Ann"}', "right", 'user: {"name": "Ann"}', "–"),
        case("A prompt that is a list of numbers", "[3, 1, 2]", "right", "user: [3, 1, 2]", "–"),
        case("A prompt that says NaN or None", "None", "right", "user: None", "–"),
    ],
)  # fmt: skip
def test_prompts(tmp_path, cell, name):
    (messages,) = from_file(0, path=str(written(tmp_path, name, prompt=cell)))["prompt"].to_list()
    return " · ".join(f"{m['role']}: {m['content']}" for m in messages)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        case(
            "A list of responses as Python's text", "['Red.', 'Blue.']", "refused", "Red. | Blue."
        ),
        case("The same as NumPy prints it", "['Red.'\n 'Blue.']", "refused", "Red. | Blue."),
        case("The same as JSON", '["Red.", "Blue."]', "refused", "Red. | Blue."),
        case(
            "`responses` that is no list",
            "Red., Blue.",
            "refused",
            "refused: …'responses' is 'Red., Blue.', not a list of texts…",
            "–",
        ),
    ],
)
def test_lists_of_responses(tmp_path, cell, name):
    (given,) = read_candidates(
        written(tmp_path, name, prompt="Which?", responses=cell), None, "error"
    ).values()
    return " | ".join(g.text for g in given)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        case(
            "Responses as messages, as Python's text",
            [repr([{"role": "assistant", "content": text}]) for text in ("Red.", "Blue.")],
            "[{'role': 'assistant', … was the response",
            "Red. | Blue.",
        ),
        case(
            "Responses as dictionaries, as Python's text",
            ["{'text': 'Red.'}", "{'text': None}"],
            "{'text': 'Red.'} was the response",
            "refused: …every value…is of dictionaries…",
        ),
        case(
            "Responses as tuples",
            ["('Red.',)", "('Blue.',)"],
            "('Red.',) was the response",
            "refused: …every value of this column is of lists…",
        ),
        case(
            "Responses that NumPy or torch printed",
            ["array(['Red.'])", "array(['Blue.'])"],
            "array(['Red.']) was the response",
            "refused: …every value…is of arrays…",
        ),
        case(
            "vLLM's outputs as they print",
            [
                f"CompletionOutput(index=0, text='{text}', token_ids=[1])"
                for text in ("Red.", "No.")
            ],
            "CompletionOutput(index=0, … was the response",
            "refused: …every value…is of objects…",
            "tried here",
        ),
        case(
            "Responses that are JSON objects, as a task may ask",
            ['{"a": 1}', '{"a": null}'],
            "right",
            '{"a": 1} | {"a": null}',
            "–",
        ),
        case(
            "One response in brackets among others",
            ["['Red.']", "Blue."],
            "right",
            "['Red.'] | Blue.",
            "–",
        ),
    ],
)
def test_responses(tmp_path, cell, name):
    file = written(tmp_path, name, prompt=["Which?"] * 2, response=cell)
    (given,) = read_candidates(file, None, "error").values()
    return " | ".join(g.text for g in given)


@pytest.mark.case(
    "Pairs of conversations, as pandas writes them",
    reports="huggingface/datasets#4673",
    before="the text [{'role': … was the chosen response",
    expected="user: Hi → Good. > Bad.",
)
def test_pairs(tmp_path):
    ask = {"role": "user", "content": "Hi"}
    good, bad = ([ask, {"role": "assistant", "content": text}] for text in ("Good.", "Bad."))
    file = written(tmp_path, "s.csv", prompt="Hi", chosen=repr(good), rejected=repr(bad))
    (row,) = read_preferences(file).iter_rows(named=True)
    said = [row[side][-1]["content"] for side in ("prompt", "chosen", "rejected")]
    return f"user: {said[0]} → {said[1]} > {said[2]}"
