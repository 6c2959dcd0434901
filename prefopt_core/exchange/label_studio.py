"""Label Studio: pairwise tasks with a labelling config beside them, and its JSON export back.

`Pairwise` gives {"selected": "left" | "right"}; for ties and two bad responses, which it does not
know, the config has `Choices` named `verdict`. A skipped task is `was_cancelled`.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from prefopt_core.exchange.cells import (
    Row,
    known_texts,
    messages_in,
    number_in,
    question_in,
    text_in,
    time_in,
)
from prefopt_core.exchange.files import each, records_in, write_records, write_text
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import quoted
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import State, Verdict

_SIDES = ("left", "right")
_CHOICES: dict[State, str] = {"tie": "equally good", "both_bad": "both bad"}

CONFIG = """<View>
  <Header value="Prompt"/>
  <Text name="prompt" value="$prompt"/>
  <Header value="Which response is better? Click on it, or choose below."/>
  <Pairwise name="comparison" toName="response_1,response_2"/>
  <View style="display: grid; grid-template-columns: 1fr 1fr; gap: 1em">
    <Text name="response_1" value="$response_1"/>
    <Text name="response_2" value="$response_2"/>
  </View>
  <Choices name="verdict" toName="prompt" choice="single" showInline="true">
    <Choice value="equally good"/>
    <Choice value="both bad"/>
  </Choices>
  <TextArea name="why" toName="prompt" placeholder="Why (if you like)" maxSubmissions="1"/>
</View>
"""
"""Texts are shown as `Text`: `HyperText` would run what is in them."""


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write tasks as .json, and the labelling config beside them as .xml.

    Yields:
        What the file cannot hold.
    """
    pairs = [entry for entry in entries if len(known_texts(entry).responses) == 2]
    held = [entry for entry in pairs if entry.verdict is None or _result(entry.verdict) is not None]
    write_records(path, [_task(entry) for entry in held])
    config = path.with_suffix(".xml")
    write_text(config, CONFIG)
    yield f"{config} is the labelling config: paste it under Settings, Labeling Interface, Code."
    if others := len(entries) - len(pairs):
        yield f"{others} questions are left out: they do not compare two responses."
    if others := len(pairs) - len(held):
        yield f"{others} invalid verdicts are left out."
    if any(entry.verdict and entry.verdict.preference not in (None, 0.0, 1.0) for entry in held):
        yield "Probabilities are not held: a verdict says which side is better."


def _task(entry: Entry) -> Row:
    question = known_texts(entry)
    data: Row = {
        "prompt": _shown(question.prompt),
        "response_1": question.responses[0].text,
        "response_2": question.responses[1].text,
        "messages": list(question.prompt),
        "question_id": entry.question_id,
        "annotator": entry.annotator,
        "guidelines": entry.guidelines,
    }
    if entry.verdict is None:
        return {"data": data}
    annotation = {
        "result": _result(entry.verdict) or [],
        "was_cancelled": entry.verdict.state == "skipped",
        "completed_by": {"email": entry.verdict.by},
        "lead_time": entry.verdict.seconds,
    }
    return {"data": data, "annotations": [annotation]}


def _shown(prompt: Sequence[dict[str, str]]) -> str:
    """A prompt as people read it there; its messages lie beside it."""
    if len(prompt) == 1:
        return prompt[0]["content"]
    return "\n\n".join(f"{m['role']}:\n{m['content']}" for m in prompt)


def _result(verdict: Verdict) -> list[dict[str, Any]] | None:
    """What Label Studio has of a verdict; None if it has no place for it."""
    if verdict.state == "invalid":
        return None
    found = []
    if verdict.state in _CHOICES:
        found.append(_part("verdict", "choices", {"choices": [_CHOICES[verdict.state]]}))
    elif (p := verdict.probability()) not in (None, 0.5):
        side = _SIDES[0 if p is not None and p > 0.5 else 1]
        found.append(_part("comparison", "pairwise", {"selected": side}))
    elif p == 0.5:
        found.append(_part("verdict", "choices", {"choices": [_CHOICES["tie"]]}))
    if verdict.why:
        found.append(_part("why", "textarea", {"text": [verdict.why]}))
    return found


def _part(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    to = "response_1,response_2" if kind == "pairwise" else "prompt"
    return {"from_name": name, "to_name": to, "type": kind, "value": value}


def read(path: Path) -> Iterator[Entry]:
    """Read the export named JSON, not JSON-MIN: each annotation of a task is a verdict.

    Raises:
        DataError: It is no such export, or a task is malformed.
    """
    yield from each(records_in(path), _entries)


def _entries(row: Row, where: str) -> Iterator[Entry]:
    data, given = row.get("data"), row.get("annotations", [])
    if not isinstance(data, dict) or "question_id" not in data or not isinstance(given, list):
        raise DataError(
            f"{where} is no task that prefopt wrote: there is no 'question_id' in its 'data'. "
            "Export as JSON (not JSON-MIN) what `prefopt labels export` gave."
        )
    prompt = messages_in(data.get("messages"), f"{where}: 'messages'")
    question = question_in(prompt, [text_in(data, f"response_{i}", where) for i in (1, 2)])
    for annotation in given or [None]:
        verdict = None if annotation is None else _verdict(annotation, where)
        yield Entry(
            text_in(data, "question_id", where),
            question,
            verdict,
            text_in(data, "annotator", where),
            text_in(data, "guidelines", where),
            at=time_in(_when(annotation), where),
            where=where,
        )


def _verdict(annotation: Row, where: str) -> Verdict | None:
    said = {part.get("from_name"): part.get("value", {}) for part in annotation.get("result") or []}
    why = said.get("why", {}).get("text", [])
    more: dict[str, Any] = {
        "by": _person(annotation.get("completed_by")),
        "why": why if isinstance(why, str) else " ".join(why),
        "seconds": number_in(annotation, "lead_time", where),
    }
    if annotation.get("was_cancelled"):
        return Verdict("skipped", **more)
    side = said.get("comparison", {}).get("selected")
    chosen = said.get("verdict", {}).get("choices", [])
    if side in _SIDES and not chosen:
        return Verdict.preferred(1.0 if side == _SIDES[0] else 0.0, **more)
    states = {words: state for state, words in _CHOICES.items()}
    if side not in _SIDES and len(chosen) == 1 and chosen[0] in states:
        return Verdict(states[chosen[0]], **more)
    if side not in _SIDES and not chosen:
        return None  # submitted without a verdict
    raise DataError(
        f"{where}: both a side ({quoted(side)}) and {quoted(chosen)} are chosen. Keep one of them, "
        "in Label Studio, and export again."
    )


def _person(by: Any) -> str:
    """Who annotated: by email where the export has it, else the number of the user."""
    if isinstance(by, dict):
        return str(by.get("email") or by.get("username") or by.get("id") or "")
    return "" if by is None else f"user {by}"


def _when(annotation: Row | None) -> float | None:
    text = (annotation or {}).get("created_at")
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(re.sub(r"Z$", "+00:00", text)).timestamp()
    except (ValueError, OverflowError):
        return None
