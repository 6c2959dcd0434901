"""The readers, each with good inputs from which others are made.

What a reader is given is bytes; those of files are written first, to a folder in memory.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from prefopt_core.annotation.judge_reading import verdict_in
from prefopt_core.annotation.judge_template import BUILT_IN, load_template
from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.experiments.sources import load_run
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.inputs.candidates import read_candidates
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.prompts import from_file
from prefopt_core.inputs.vectors import VectorFile
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Question, Shown, Verdict
from prefopt_core.models.server.answers import text_of
from prefopt_core.models.server.completion import read_answer
from prefopt_core.models.server.kept import ServedResponse
from prefopt_core.store.runs import runs
from prefopt_core.store.store import Store, read_manifest

PRESETS = Path(__file__).parents[2] / "presets"


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        seeds: Good inputs.
        read: Reads one, or raises an error that says what is wrong.
    """

    seeds: Sequence[bytes]
    read: Callable[[bytes], object]


def readers(folder: Path) -> dict[str, Reader]:
    """All readers by name.

    Args:
        folder: For the files that they read.
    """
    found = _tables(folder) | _labels(folder) | _records(folder)
    found["config (YAML)"] = Reader(_configs(), partial(_of_file, folder / "run.yaml", _config))
    found["YAML"] = Reader(
        [*_configs(), b"a: &a {b: 1}\nc:\n  <<: *a\n  d: [*a, *a]\n", _doubled(4)],
        lambda data: read_yaml(data.decode("utf-8", "replace"), "run.yaml"),
    )
    template = partial(_of_file, folder / "judge.jinja", lambda path: load_template(str(path)))
    texts = [BUILT_IN.path(name).read_bytes() for name in BUILT_IN.names()]
    found["judge template"] = Reader(texts, template)
    found["server reply"] = Reader(_REPLIES, _reply)
    found["judge reply"] = Reader(_VERDICTS, _verdict)
    return found


def _of_file(path: Path, read: Callable[[Path], object], data: bytes) -> object:
    path.write_bytes(data)
    return read(path)


# --- tables -----------------------------------------------------------------------------------

_TALK = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Yes."}]
_ASKED = "\n\nHuman: Hi?\n\nAssistant:"
_ROWS: dict[str, list[list[dict[str, Any]]]] = {
    "prompts": [
        [{"prompt": "Hi?", "topic": "a"}, {"prompt": "Why?", "topic": "b"}],
        [{"instruction": "Say it.", "input": "it", "system": "Be kind."}],
        [{"prompt": _TALK[:1]}, {"prompt": [*_TALK, *_TALK[:1]]}],
        [{"prompt": "And?", "history": [["Hi?", "Yes."]]}],
    ],
    "candidates": [
        [{"prompt": "Hi?", "response": "Yes."}, {"prompt": "Hi?", "response": "No."}],
        [{"prompt": "Hi?", "responses": ["Yes.", "No."], "writer": "m"}],
        [{"prompt": "Hi?", "response_1": "Yes.", "response_2": "No."}],
        [{"instruction": "Hi?", "completions": [{"response": "Yes.", "model": "m"}] * 2}],
    ],
    "preferences": [
        [{"prompt": "Hi?", "chosen": "Yes.", "rejected": "No."}],
        [{"chosen": _TALK, "rejected": [_TALK[0], {"role": "assistant", "content": "No."}]}],
        [{"chosen": f"{_ASKED} Yes.", "rejected": f"{_ASKED} No."}],
        [{"prompt": "Hi?", "chosen": "Yes.", "rejected": "No.", "score_chosen": 2, "margin": 1.5}],
    ],
}  # fmt: skip
_READ: dict[str, Callable[[Path], object]] = {
    "prompts": lambda path: from_file(0, path=str(path)),
    "candidates": lambda path: read_candidates(path, None, "a"),
    "preferences": read_preferences,
}


def _tables(folder: Path) -> dict[str, Reader]:
    found = {
        f"{kind} (.{ending})": Reader(
            [_as(ending, rows) for rows in _ROWS[kind] if ending != "csv" or _is_flat(rows)],
            partial(_of_file, folder / f"rows.{ending}", read),
        )
        for kind, read in _READ.items()
        for ending in ("jsonl", "csv", "parquet")
    }
    unit = [[0.6, 0.8, 0.0], [1.0, 0.0, 0.0]]
    vectors = [
        pl.DataFrame({"v": pl.Series(unit, dtype=kind), "t": ["a", "b"]})
        for kind in (pl.List(pl.Float32), pl.Array(pl.Float64, 3), pl.Array(pl.Float32, 3))
    ]
    path = folder / "vectors.parquet"
    read = partial(_of_file, path, lambda path: [*VectorFile(path, "v").blocks()])
    return found | {"vectors (.parquet)": Reader([*map(_parquet, vectors)], read)}


def _is_flat(rows: list[dict[str, Any]]) -> bool:
    return all(isinstance(value, str) for row in rows for value in row.values())


def _as(ending: str, rows: list[dict[str, Any]]) -> bytes:
    if ending == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    frame = pl.DataFrame(rows)
    return frame.write_csv().encode() if ending == "csv" else _parquet(frame)


def _parquet(frame: pl.DataFrame) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        frame.write_parquet(file.name, compression="uncompressed")
        return Path(file.name).read_bytes()


# --- labels -----------------------------------------------------------------------------------


def _question(prompt: str, *texts: str) -> Question:
    messages = [{"role": "user", "content": prompt}]
    prompt_id = prompt_id_of(messages)
    shown = tuple(Shown(candidate_id_of(prompt_id, text), text) for text in texts)
    return Question(prompt_id, messages, shown)


def _entries(*kinds: str) -> list[Entry]:
    said = {
        "score": (_question("How?", "so"), Verdict.scored(3.0, by="ada")),
        "pair": (_question("Which?", "this", "that"), Verdict.preferred(1.0, by="ada", why="so")),
        "tie": (_question("Both?", "one", "two"), Verdict("tie", by="bob", seconds=2.0)),
        "rank": (_question("Order?", "a", "b", "c", "d"), Verdict.ranked([2, 1, 4, 3], by="ada")),
    }
    who = '{"people":{}}'
    return [Entry(said[k][0].question_id, *said[k], who, "1", "an account", 1.5e9) for k in kinds]


def _labels(folder: Path) -> dict[str, Reader]:
    found = {}
    for name in READERS:
        path = folder / f"labels-{name}{'.csv' if name == 'csv' else '.json'}"
        read = READERS[name]
        found[f"labels: {name}"] = Reader(
            _written(name, path), partial(_of_file, path, lambda path, read=read: [*read(path)])
        )
    return found


def _written(name: str, path: Path) -> list[bytes]:
    """What the writer of a format makes of each kind of verdict that it can hold."""
    if name == "html":
        row = {"id": _entries("pair")[0].question_id, "responses": 2, "annotator": "{}"}
        row |= {"guidelines": "1", "verdict": "1", "by": "ada", "why": "", "seconds": 1.5, "at": 1}
        return [json.dumps({"prefopt": 1, "verdicts": [row]}).encode()]
    found = []
    for kinds in (("score",), ("pair", "tie"), ("rank",)):
        path.write_bytes(b"")
        try:
            list(WRITERS[name](_entries(*kinds), path))
        except (ConfigError, DataError):
            continue
        found += [path.read_bytes()] if path.stat().st_size else []
    return found


_MANIFEST = {
    "stage": "score", "version": 1, "key": "5" * 64, "inputs": {"seed": 0, "config": {"a": [1]}},
    "output": {"table": "logps", "shards": [{"sha256": "a" * 64, "rows": 1, "bytes": 9}]},
    "made_with": {"polars": "2"}, "created": 1.5e9, "seconds": 0.5, "peak_memory_mb": 100,
}  # fmt: skip
_RUN = {"name": "mine", "flow": "aepo", "config": "k: 2\n", "state": "running", "started": 1.5e9}


def _records(folder: Path) -> dict[str, Reader]:
    store = Store(folder / "store")
    manifest, run = (
        store.manifest_path("score", "5" * 64),
        store.root / "runs" / "mine" / "run.json",
    )
    for path in (manifest, run):
        path.parent.mkdir(parents=True, exist_ok=True)
    return {
        "manifest": Reader(
            [json.dumps(_MANIFEST).encode()],
            partial(_of_file, manifest, lambda path: (read_manifest(path), [*store.manifests()])),
        ),
        "run record": Reader(
            [json.dumps(_RUN).encode()], partial(_of_file, run, lambda path: runs(store))
        ),
    }


_SMALL = b"""flow: aepo
prompts: {source: file, params: {path: prompts.jsonl}, shard_size: 8}
policy: {source: pretrained, params: {path: sshleifer/tiny-gpt2, chat_template: plain}}
generation: {generator: openai, n: 4, params: {base_url: "http://a/v1", model_name: m}}
selection: {strategy: aepo, k: 2}
annotation: {annotator: llm-judge, params: {base_url: "http://a/v1", model_name: j}}
budget: 8
"""


def _configs() -> list[bytes]:
    return [*(path.read_bytes() for path in sorted(PRESETS.glob("base/*.yaml"))), _SMALL]


def _doubled(times: int) -> bytes:
    """A list that names one before it ten times, that again one, and so on."""
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, times + 1)]
    return "\n".join(["a0: &a0 [1]", *lines, ""]).encode()


def _config(path: Path) -> object:
    try:
        return load_run(str(path), {})
    except ValidationError as error:  # the command line says it in words
        raise ConfigError(str(error.errors()[0]["loc"])) from error


# --- answers of servers -----------------------------------------------------------------------


def _answer(content: Any, **more: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": content},
    }
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    return {"id": "1", "object": "chat.completion", "choices": [choice | more], "usage": usage}


_LIKELY = {"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "B", "logprob": -2.0}]}
_REPLIES = [
    json.dumps(reply).encode()
    for reply in (
        _answer("Yes."),
        _answer([{"type": "text", "text": "Yes."}]),
        _answer("<think>Hm.</think>A", logprobs={"content": [_LIKELY]}),
        _answer(None, message={"refusal": "No."}),
        {"choices": [{"text": "Yes.", "finish_reason": "length"}]},
        _answer("No.", error={"message": "overloaded", "code": 503}),
    )
]


def _reply(data: bytes) -> object:
    try:
        answer = read_answer(data)
    except ValueError as error:
        raise DataError(f"no completion: {error}"[:500]) from error
    return [
        (choice.failed, text_of(ServedResponse(choice.said, choice.reason, choice.likely)))
        for choice in answer.choices
    ]


_VERDICTS = [
    b'Reason first.\n{"reason": "So.", "better": "A"}',
    b'```json\n{"better": "tie"}\n```',
    b'{"scores": {"helpful": 3}, "score": 4.5}',
    b"<think>A or B?</think>\nVerdict: [[B]]",
    b"A",
    b"Score: 7/10",
]
_HEADERS = [load_template(name).header for name in BUILT_IN.names()]


def _verdict(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    likely = [(word, {"A": -0.1, "B": -2.0, word: -1.0}) for word in text.split()[:20]]
    return [verdict_in(ServedResponse(text, "stop", likely), header) for header in _HEADERS]
