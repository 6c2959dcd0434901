"""Files of answers, field by field as the benchmarks read them."""

import json

import polars as pl
import pytest

from prefopt_core.export.answers import ANSWERS, Answer, answers_in, question_ids
from prefopt_core.export.benchmarks import commands
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import prompt_id_of


def user(text):
    return [{"role": "user", "content": text}]


SAID = "# Head\n\n1. one\n2. **two**\n- three\n```\n# no head\n- no list\n```\n"
MINE = Answer("p1", user("What?"), SAID, tokens=17)
THEIRS = Answer("p2", user("Why?"), "So.", question="abc", tokens=2)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_alpaca_eval_gets_one_list_of_outputs(tmp_path):
    (file,) = ANSWERS["alpaca_eval"]([MINE, THEIRS], tmp_path, "run-1", 5.0)
    assert file.name == "model_outputs.json"
    assert json.loads(file.read_text())[1] == {
        "dataset": "prefopt", "instruction": "Why?", "output": "So.", "generator": "run-1",
    }  # fmt: skip


def test_arena_hard_gets_answers_with_what_style_control_counts(tmp_path):
    asked, said = ANSWERS["arena-hard"]([MINE, THEIRS], tmp_path, "run-1", 5.0)
    assert [row["uid"] for row in lines(asked)] == ["p1"]  # theirs are in their file
    assert said == tmp_path / "model_answer" / "run-1.jsonl"
    mine, theirs = lines(said)
    assert (mine["uid"], theirs["uid"], mine["model"], mine["tstamp"]) == ("p1", "abc", "run-1", 5)
    assert mine["messages"][-1] == {"role": "assistant", "content": {"answer": SAID}}
    assert mine["metadata"] == {
        "token_len": 17,
        "header_count": {"h1": 1, "h2": 0, "h3": 0, "h4": 0, "h5": 0, "h6": 0},
        "list_count": {"ordered": 2, "unordered": 1},
        "bold_count": {"**": 1, "__": 0},
    }


def test_mt_bench_gets_whole_numbers_and_one_turn(tmp_path):
    asked, said = ANSWERS["mt-bench"]([MINE, MINE], tmp_path, "run-1", 5.0)
    assert [row["question_id"] for row in lines(asked)] == [1, 2]
    assert lines(asked)[0]["turns"] == ["What?"]
    assert lines(said)[1] == {
        "question_id": 2, "answer_id": "run-1/2", "model_id": "run-1",
        "choices": [{"index": 0, "turns": [SAID]}], "tstamp": 5.0,
    }  # fmt: skip


def test_a_conversation_has_no_place_in_them(tmp_path):
    long = Answer("p", [*user("One"), {"role": "assistant", "content": "Two"}, *user("3")], "So.")
    with pytest.raises(DataError, match="has 3 messages"):
        ANSWERS["alpaca_eval"]([long], tmp_path, "run-1", 5.0)


def test_answers_are_the_first_of_each_prompt_with_the_ids_of_its_file(tmp_path):
    file = tmp_path / "question.jsonl"
    file.write_text('{"uid": "abc", "prompt": "Why?"}\n{"prompt": "What?"}\n')
    prompts = pl.DataFrame({"prompt_id": ["b", "a"], "prompt": [user("Why?"), user("What?")]})
    candidates = pl.DataFrame(
        {
            "prompt_id": ["a", "b", "b"],
            "sample": [0, 1, 0],
            "response": ["a0", "b1", "b0"],
            "response_token_ids": [None, [1], [1, 2]],
        }
    )
    ids = question_ids(file)
    assert ids == {prompt_id_of(user("Why?")): "abc"}
    found = answers_in(prompts, candidates, {"b": "abc"})
    assert [(one.response, one.question, one.tokens) for one in found] == [
        ("b0", "abc", 2), ("a0", None, None),
    ]  # fmt: skip


def test_benchmarks_apply_the_template_that_a_model_has(tmp_path):
    assert not any("--apply_chat_template" in line for line in commands(tmp_path))
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    harness, lighteval = commands(tmp_path)
    assert f"pretrained={tmp_path} --tasks ifeval,gsm8k --apply_chat_template" in harness
    assert lighteval.startswith(f"lighteval accelerate model_name={tmp_path} 'ifeval,gsm8k|5'")
