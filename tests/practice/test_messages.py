"""What messages carry.

A message is a role and a text; whatever else it carries is refused by its row.
"""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefopt_core.inputs.candidates import read_candidates
from prefopt_core.inputs.prompts import from_file

USER = {"role": "user", "content": "Hi"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": "{}"}}
TEXT = {"type": "text", "text": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "cat.png"}}


def case(situation, messages, before, expected, reports="tried here"):
    mark = pytest.mark.case(situation, reports=reports, before=before, expected=expected)
    return pytest.param(messages, marks=mark, id=situation)


@pytest.mark.parametrize(
    "messages",
    [
        case(
            "A call of a tool before the user's message",
            [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, USER],
            "the call was dropped: assistant: (nothing)",
            "refused: …message 2 carries 'tool_calls'…Remove the row…",
            "axolotl-ai-cloud/axolotl#3824",
        ),
        case(
            "A call of a tool whose content is null",
            [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}, USER],
            "refused", "refused: …message 2 carries 'tool_calls'…", "vllm-project/vllm#41902",
        ),
        case(
            "The answer of a tool",
            [USER, {"role": "tool", "content": "sunny", "tool_call_id": "1"}, USER],
            "refused", "refused: …message 2 carries 'tool_call_id'…", "–",
        ),
        case("A name", [USER | {"name": "ann"}], "the name was dropped", "refused: …'name'…"),
        case(
            "A model's thoughts",
            [USER, {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}, USER],
            "the thoughts were dropped", "refused: …message 2 carries 'reasoning_content'…",
            "huggingface/trl#5213",
        ),
        case(
            "A weight of 0: not to be trained on",
            [USER, {"role": "assistant", "content": "Yes.", "weight": 0}, USER],
            "the weight was dropped", "refused: …message 2 carries 'weight'…",
        ),
        case(
            "Content as a list with one text", [USER | {"content": [TEXT]}], "refused",
            "user: Hi", "vllm-project/vllm#41902",
        ),
        case(
            "The same, padded with null by Parquet",
            [USER | {"content": [TEXT | {"image_url": None}]}], "refused", "user: Hi",
        ),
        case(
            "Content with one text that carries more",
            [USER | {"content": [TEXT | {"annotations": [{"start": 0}]}]}], "refused",
            "refused: …message 1 has no text but…", "–",
        ),
        case(
            "Content with an image", [USER | {"content": [TEXT, IMAGE]}], "refused",
            "refused: …message 1 has no text but…", "–",
        ),
        case("Content is null", [USER | {"content": None}], "refused", "refused: …no text…", "–"),
        case(
            "Keys that are null or empty, as Parquet pads them",
            [USER | {"tool_calls": None, "name": "", "images": []}], "right", "user: Hi",
        ),
        case(
            "The roles developer and ipython", [USER | {"role": "developer"}, USER], "refused",
            "refused: …message 1 has the role 'developer'…", "–",
        ),
        case(
            "ShareGPT's from and value",
            [
                {"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hi"},
                {"from": "gpt", "value": "Ho"}, {"from": "human", "value": "Why?"},
            ],
            "refused", "system: Be brief. · user: Hi · assistant: Ho · user: Why?",
            "hiyouga/LlamaFactory#2464",
        ),
        case(
            "ShareGPT with an observation of a tool",
            [{"from": "observation", "value": "{}"}, {"from": "human", "value": "Hi"}],
            "refused", "refused: …message 1 has the role 'observation'…", "–",
        ),
        case(
            "ShareGPT with a weight", [{"from": "human", "value": "Hi", "weight": 1.0}],
            "refused", "refused: …message 1 carries 'weight'…", "–",
        ),
        case(
            "A conversation that ends with an answer",
            [USER, {"role": "assistant", "content": "Ho"}], "refused",
            "refused: …the last message is the assistant's; a prompt ends with…", "–",
        ),
    ],
)  # fmt: skip
def test_prompts(write, messages):
    return said(from_file(0, path=str(write("p.jsonl", [{"prompt": messages}]))))


def said(table):
    (messages,) = table["prompt"].to_list()
    return " · ".join(f"{m['role']}: {m['content']}" for m in messages)


@pytest.mark.case(
    "Parquet: another row's messages have calls of tools, this row's are padded with null",
    reports="tried here",
    before="the calls of line 2 were dropped",
    expected="refused: …row 2: 'prompt' is …message 2 carries 'tool_calls'…",
)
def test_padded(tmp_path):
    call = {"role": "assistant", "content": "x", "tool_calls": [{"name": "f"}]}
    rows = pa.Table.from_pylist([{"prompt": [USER]}, {"prompt": [USER, call, USER]}])
    pq.write_table(rows, tmp_path / "p.parquet")
    return said(from_file(0, path=str(tmp_path / "p.parquet")))


@pytest.mark.parametrize(
    "messages",
    [
        case(
            "A response as the assistant's message", [{"role": "assistant", "content": "Ho"}],
            "refused", "Ho", "–",
        ),
        case(
            "A response that is a call of a tool",
            [{"role": "assistant", "content": "", "tool_calls": [CALL]}], "refused",
            "refused: …message 1 carries 'tool_calls'…", "–",
        ),
        case(
            "A response that is a whole conversation",
            [USER, {"role": "assistant", "content": "Ho"}], "refused",
            "refused: …is not a text. Make it one, or a list with one message of…", "–",
        ),
    ],
)  # fmt: skip
def test_responses(tmp_path, messages):
    file = tmp_path / "c.jsonl"
    file.write_text(json.dumps({"prompt": "Hi", "response": messages}))
    (given,) = read_candidates(file, None, "error").values()
    return ", ".join(g.text for g in given)
