"""Responses in the files that benchmarks read, ANSWERS: alpaca_eval, Arena-Hard, MT-Bench.

Fields as these programs read them: alpaca_eval 0.6.6, lmarena/arena-hard-auto at 196f6b8 and
lm-sys/FastChat's llm_judge. Each judges the files by itself; nothing of it is needed here.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.files import write_whole
from prefopt_core.ground.ids import Message, prompt_id_of, quoted
from prefopt_core.inputs.files import read_rows
from prefopt_core.inputs.prompt_columns import prompt_of

_FENCED = re.compile(r"```[^`]*```")
_MARKS = {
    "header_count": {f"h{level}": rf"^#{{{level}}}\s" for level in range(1, 7)},
    "list_count": {"ordered": r"^\s*\d+\.\s", "unordered": r"^\s*[-*+]\s"},
    "bold_count": {"**": r"\*\*[^*\n]+\*\*", "__": r"__[^_\n]+__"},
}
"""What Arena-Hard's style control counts, outside of fenced code."""


@dataclass(frozen=True)
class Answer:
    """A policy's response to a prompt.

    Attributes:
        prompt_id: Id of the prompt.
        prompt: Its messages.
        response: The text.
        question: Its id in the benchmark's own file; None: it is not from there.
        tokens: How many the policy wrote; None of texts from a file.
    """

    prompt_id: str
    prompt: Sequence[Message]
    response: str
    question: Any = None
    tokens: int | None = None

    @property
    def instruction(self) -> str:
        """The prompt as one text.

        Raises:
            DataError: It has several messages, for which these benchmarks have no field.
        """
        if len(self.prompt) != 1:
            raise DataError(
                f"The prompt {quoted(self.prompt[-1]['content'])} has {len(self.prompt)} messages; "
                "the benchmark's file takes one. Answer its own prompts: --questions FILE."
            )
        return self.prompt[0]["content"]


Row = Mapping[str, Any]
"""A line of a file: its fields."""
Writer = Callable[[Sequence[Answer], Path, str, float], list[Path]]
"""`(answers, folder, name of the policy, when in seconds since 1970) -> the files`."""


def answers_in(
    prompts: pl.DataFrame, candidates: pl.DataFrame, questions: Mapping[str, Any] | None = None
) -> list[Answer]:
    """The first response to each prompt, in the order of the prompts.

    Args:
        prompts: Table `prompts`.
        candidates: Table `candidates`.
        questions: prompt_id → id in the benchmark's file; None: they are not from there.
    """
    first = candidates.sort("sample").group_by("prompt_id").first()
    both = prompts.join(first, "prompt_id", maintain_order="left")
    tokens = both["response_token_ids"].list.len()
    return [
        Answer(prompt_id, prompt, response, (questions or {}).get(prompt_id), count)
        for (prompt_id, prompt, response), count in zip(
            both.select("prompt_id", "prompt", "response").iter_rows(), tokens, strict=True
        )
    ]


def question_ids(file: Path) -> dict[str, Any]:
    """prompt_id → `uid` or `question_id` of a benchmark's file of prompts, where it has one.

    Raises:
        DataError: The file cannot be read.
    """
    found = {}
    for row in read_rows(file):
        messages = prompt_of(row, None)
        identity = row.values.get("uid", row.values.get("question_id"))
        if identity is not None:
            found[prompt_id_of(messages)] = identity
    return found


def alpaca_eval(answers: Sequence[Answer], folder: Path, model: str, when: float) -> list[Path]:
    """`model_outputs.json` of alpaca_eval: instruction, output, generator, dataset."""
    rows = [
        {
            "dataset": "prefopt",
            "instruction": answer.instruction,
            "output": answer.response,
            "generator": model,
        }
        for answer in answers
    ]
    return [_write(folder / "model_outputs.json", json.dumps(rows, ensure_ascii=False, indent=1))]


def arena_hard(answers: Sequence[Answer], folder: Path, model: str, when: float) -> list[Path]:
    """Arena-Hard's model_answer/MODEL.jsonl, with what style control counts; questions of ours."""
    ids = [_first(answer.question, answer.prompt_id) for answer in answers]
    said = [
        {
            "uid": uid,
            "ans_id": f"{model}/{uid}",
            "model": model,
            "messages": [
                {"role": "user", "content": answer.instruction},
                {"role": "assistant", "content": {"answer": answer.response}},
            ],
            "tstamp": when,
            "metadata": {"token_len": _tokens(answer), **_marks(answer.response)},
        }
        for uid, answer in zip(ids, answers, strict=True)
    ]
    about = {"category": "prefopt", "subcategory": "prefopt"}
    questions = [
        {"uid": uid, **about, "prompt": answer.instruction}
        for uid, answer in zip(ids, answers, strict=True)
        if answer.question is None
    ]
    return _asked_and_said(folder, model, questions, said)


def mt_bench(answers: Sequence[Answer], folder: Path, model: str, when: float) -> list[Path]:
    """MT-Bench's model_answer/MODEL.jsonl, of first turns; questions of ours."""
    ids = [_first(answer.question, number) for number, answer in enumerate(answers, 1)]
    said = [
        {
            "question_id": number,  # FastChat sorts by whole numbers
            "answer_id": f"{model}/{number}",
            "model_id": model,
            "choices": [{"index": 0, "turns": [answer.response]}],
            "tstamp": when,
        }
        for number, answer in zip(ids, answers, strict=True)
    ]
    questions = [
        {"question_id": number, "category": "prefopt", "turns": [answer.instruction]}
        for number, answer in zip(ids, answers, strict=True)
        if answer.question is None
    ]
    return _asked_and_said(folder, model, questions, said)


ANSWERS: dict[str, Writer] = {
    "alpaca_eval": alpaca_eval,
    "arena-hard": arena_hard,
    "mt-bench": mt_bench,
}
"""Name of a benchmark → what writes its files."""


def _first(theirs: Any, ours: Any) -> Any:
    return ours if theirs is None else theirs


def _tokens(answer: Answer) -> int:
    return len(answer.response.split()) if answer.tokens is None else answer.tokens


def _marks(response: str) -> dict[str, dict[str, int]]:
    text = _FENCED.sub("", response)
    return {
        kind: {name: len(re.findall(sign, text, re.MULTILINE)) for name, sign in signs.items()}
        for kind, signs in _MARKS.items()
    }


def _asked_and_said(
    folder: Path, model: str, questions: Sequence[Row], said: Sequence[Row]
) -> list[Path]:
    """Write the answers, and the questions if some are not the benchmark's own."""
    asked = [_lines(folder / "question.jsonl", questions)] if questions else []
    return [*asked, _lines(folder / "model_answer" / f"{model}.jsonl", said)]


def _lines(path: Path, rows: Sequence[Row]) -> Path:
    return _write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: file.write_text(text, encoding="utf-8"))
    return path
