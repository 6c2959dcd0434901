"""From a pair back: verdict, question, selection, generation, prompt, each with what made it."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.ids import last_text, pair_id_of
from prefopt_core.reports.origins import Origin, origins
from prefopt_core.reports.values import shortened
from prefopt_core.store.artifacts import DIGEST, Artifact, Folder
from prefopt_core.store.lineage import Lineage, Made, references

_LONGEST = 300
"""Characters that are shown of a text."""
_PAIRING = ("pair", "pair_against_own", "load_preferences")
"""Stages that make pairs; others give them other log-probabilities."""

Row = Mapping[str, Any]
"""A row of a table."""


@dataclass(frozen=True)
class Step:
    """One step of the way back.

    Attributes:
        title: What it is about.
        lines: (name, text), to be shown one below the other.
    """

    title: str
    lines: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """A pair in the store.

    Attributes:
        row: Of a table `preferences`.
        origin: How that table came to be.
        others: How many other tables have the same pair.
    """

    row: Row
    origin: Origin
    others: int = 0


def sides_of(row: Row) -> dict[str, str]:
    """Candidate id → whether it was chosen or rejected in a row of a table `preferences`."""
    return {row["chosen_id"]: "chosen", row["rejected_id"]: "rejected"}


def find_pair(lineage: Lineage, pair_id: str, first: list[Artifact]) -> Found:
    """A pair by its id, or the start of it.

    Args:
        lineage: Of the store.
        pair_id: As the column of that name in exported files.
        first: Tables to look into before all others.

    Raises:
        StoreError: No table of the store has it, or several pairs begin so.
    """
    tables = {o.pairs.output.digest: o.pairs for o in origins(lineage, first)}
    tables |= {m.output.digest: m for m in lineage.of_stage(*_PAIRING)} | tables
    hits = [
        (made, number, full)
        for made in tables.values()
        if not lineage.store.check(made.output)
        for number, full in enumerate(_ids(lineage, made))
        if full.startswith(pair_id)
    ]
    distinct = {full for _, _, full in hits}
    if len(distinct) > 1:
        raise StoreError(f"{len(distinct)} pairs begin with {pair_id!r}. Give more of the id.")
    if not hits:
        raise StoreError(
            f"No table of pairs in the store {lineage.store} has the pair {pair_id!r}: it is "
            "of another store (PREFOPT_STORE); or it was removed from this one, and the run that "
            "made it makes it again."
        )
    made, number, _ = hits[0]
    row = lineage.store.read(made.table)[number].row(0, named=True)
    return Found(row, origins(lineage, [made.table])[-1], len(hits) - 1)


def _ids(lineage: Lineage, made: Made) -> Iterator[str]:
    ids = lineage.store.read(made.table, ["prompt_id", "chosen_id", "rejected_id"])
    return (pair_id_of(*row) for row in ids.iter_rows())


def trace(lineage: Lineage, found: Found) -> Iterator[Step]:
    """The way back from a pair, a step at a time.

    Raises:
        StoreError: A table on the way is gone from the store.
    """
    origin, row = found.origin, found.row
    others = [("also in", f"{found.others} other tables of this store")] if found.others else []
    yield _pair(row, [*others, *_made(origin.pairs)])
    verdicts = origin.labels if row["source"] == "gold" else origin.judgments
    if verdicts:
        yield from _verdicts(lineage, row, verdicts)
    if origin.selections and origin.selections.manifest.stage.startswith("select"):
        yield _selection(lineage, row, origin.selections)
    if origin.candidates:
        yield from _generation(lineage, row, origin.candidates)
    if origin.prompts:
        yield from _prompts(lineage, origin.prompts)
    if origin.labelled:  # SPIN: the chosen response is that of a labelled pair
        rows = lineage.store.read(origin.labelled.pairs.table)
        same = rows.filter(prompt_id=row["prompt_id"], chosen_id=row["chosen_id"])
        yield Step("chosen: that of a labelled pair, which is traced from here on")
        yield from trace(lineage, Found(same.row(0, named=True), origin.labelled))


def trace_held_out(
    lineage: Lineage, row: Row, measured: Sequence[tuple[Made, Made]]
) -> Iterator[Step]:
    """The way back from a pair of the split `test`, which is made when it is exported.

    Args:
        lineage: Of the store.
        row: Of a table `preferences`.
        measured: (grades, answers) that it is made of, of each policy.

    Raises:
        StoreError: A table on the way is gone from the store.
    """
    yield _pair(row, [("split", "test: prompts held out, paired when they are exported")])
    sides = sides_of(row)
    for grades, _ in measured:
        yield from _verdicts(lineage, row, grades)
    for _, answers in measured:
        own = lineage.store.read(answers.table, ["candidate_id"])["candidate_id"]
        if {*own} & {*sides}:
            yield from _generation(lineage, row, answers)
    shard = measured[0][1].manifest.inputs["prompts"]
    yield from _prompts(lineage, lineage.made(shard))


def _pair(row: Row, last: list[tuple[str, str]]) -> Step:
    said = f"{row['source']} by {row['annotator']}, {row['confidence']:.2f} sure"
    lines = [(side, _text(last_text(row[side]))) for side in ("prompt", "chosen", "rejected")]
    lines += [("said", f"{said}, margin {row['margin']:.4g}, round {row['round']}")]
    lines += [("ids", ", ".join(row[f"{part}_id"] for part in ("prompt", "chosen", "rejected")))]
    pair_id = pair_id_of(row["prompt_id"], row["chosen_id"], row["rejected_id"])
    return Step(f"pair {pair_id}", [*lines, *last])


def _verdicts(lineage: Lineage, pair: Row, made: Made) -> Iterator[Step]:
    sides = sides_of(pair)
    rows = lineage.store.read(made.table).filter(prompt_id=pair["prompt_id"])
    asked = rows.filter(pl.col("responses").list.set_intersection(list(sides)).list.len() > 0)
    for number, row in enumerate(asked.iter_rows(named=True), 1):
        shown = (sides.get(each, f"another ({each})") for each in row["responses"])
        order = ", ".join(f"{place}: {which}" for place, which in enumerate(shown, 1))
        lines = [("question", f"{row['question_id']}, shown in this order: {order}")]
        lines += [("answer", _said(row))]
        lines += [("why", _text(row["why"]))] if row["why"] else []
        lines += [("cost", f"{row['cost']:.4g}")] if row["cost"] is not None else []
        lines += [("took", f"{row['seconds']:.1f} s")] if row["seconds"] is not None else []
        who = ": ".join(part for part in (row["annotator"], row["by"]) if part)
        last = _made(made) if number == asked.height else []
        yield Step(f"verdict by {who}", [*lines, *last])


def _said(row: Row) -> str:
    if row["scores"] is not None:
        return f"{row['state']}, scores {', '.join(f'{score:.4g}' for score in row['scores'])}"
    if row["preference"] is not None:
        return f"{row['state']}, P(1 better than 2) = {row['preference']:.4g}"
    return str(row["state"])


def _selection(lineage: Lineage, pair: Row, made: Made) -> Step:
    sides = sides_of(pair)
    own = lineage.store.read(made.table).filter(prompt_id=pair["prompt_id"])
    lines = []
    for row in own.sort("rank").iter_rows(named=True):
        worth = (f"{n} {row[n]:.4g}" for n in ("representativeness", "redundancy") if row[n])
        side = sides.get(row["candidate_id"], row["candidate_id"])
        lines += [(f"rank {row['rank']}", ", ".join([side, *worth]))]
    return Step(f"selection of {own.height} responses", [*lines, *_made(made)])


def _generation(lineage: Lineage, pair: Row, made: Made) -> Iterator[Step]:
    sides = sides_of(pair)
    own = lineage.store.read(made.table).filter(prompt_id=pair["prompt_id"])
    lines = []
    for row in own.iter_rows(named=True):
        if side := sides.get(row["candidate_id"]):
            ended = {"stop": "ended by itself", "length": "cut off", "given": "from a file"}
            how = ended.get(row["finish_reason"], row["finish_reason"])
            who = row["policy"][:12] if made.inputs.get("policy") else row["policy"]
            lines += [(side, f"sample {row['sample']} of {own.height} by {who}, {how}")]
    yield Step("generation", [*lines, *_made(made)])
    if policy := made.inputs.get("policy"):
        yield _policy(lineage.made(policy))


def _policy(made: Made) -> Step:
    assert isinstance(made.output, Folder)
    tables = references([made.inputs.get("preferences")])
    lines = [("learned from", f"{each['table']} {each['digest'][:12]}") for each in tables]
    return Step(f"policy {made.output.digest[:12]}", [*lines, *_made(made)])


def _prompts(lineage: Lineage, made: Made) -> Iterator[Step]:
    while True:
        purpose = made.inputs.get("purpose")
        lines = [("drawn for", str(purpose))] if purpose else []
        yield Step(f"prompts, {made.table.rows:,}", [*lines, *_made(made)])
        if not made.inputs.get("prompts"):
            return
        made = lineage.made(made.inputs["prompts"])


def _made(made: Made) -> list[tuple[str, str]]:
    """By which stage, when, with which settings, from which tables."""
    manifest = made.manifest
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(manifest.created))
    table = made.output.table if isinstance(made.output, Artifact) else "model"
    known = list(references(made.inputs.values()))
    config = made.inputs.get("config")
    rest = {n: v for n, v in made.inputs.items() if n != "config" and not _refers(v)}
    lines = [("settings", _settings(config))] if isinstance(config, dict) else []
    lines += [("with", _settings(rest))] if rest else []
    if len(made.by) == 1 and known:
        names = (
            f"{e['table']} {e['digest'][:12]}" if "table" in e else f"model {e['model'][:12]}"
            for e in known
        )
        lines += [("from", ", ".join(names))]
    by = f"stage {manifest.stage} version {manifest.version}, {day}, key {manifest.key[:12]}"
    more = f" and {len(made.by) - 1} more" if len(made.by) > 1 else ""
    return [*lines, ("made by", f"{by}{more} → {table} {made.output.digest[:12]}")]


def _refers(value: Any) -> bool:
    return value is None or any(references([value]))


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {short(value)}" for name, value in flat(settings) if value is not None
    )


def short(value: Any) -> Any:
    """A value as it is, but of a digest, which stands for a file or folder, the start."""
    return value[:12] if isinstance(value, str) and re.fullmatch(DIGEST, value) else value


def flat(settings: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of settings, those of a section behind its name, `params` beside the others."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, section if name == "params" else f"{section}{name}.")
        else:
            yield f"{section}{name}", value


def _text(text: str) -> str:
    return shortened(text, _LONGEST)
