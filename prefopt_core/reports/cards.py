"""Cards: what a reader must know of a published data set or model, as pages for its README.md.

Machine paths are cut to names of files, and people who labelled are numbered.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from prefopt_core.models.adapters import adapter_in
from prefopt_core.reports.honesty import honesty_parts
from prefopt_core.reports.labels import counted
from prefopt_core.reports.origins import Origin
from prefopt_core.reports.page import Cell, Code, Fold, Heading, Page, Part, Table, Text
from prefopt_core.reports.rounds import rounds_in_words
from prefopt_core.reports.trace import flat, short
from prefopt_core.store.artifacts import Folder
from prefopt_core.store.lineage import Lineage, Made
from prefopt_core.store.runs import Run

COLUMNS = {
    "prompt": "The conversation up to the user's last message (with --text: a text).",
    "chosen": "The better response.",
    "rejected": "The worse response.",
    "source": "gold: by a label that was bought or given; self: judged by the policy itself.",
    "annotator": "Who said so.",
    "confidence": "P(chosen better than rejected) as the annotator says; 1 for scores.",
    "margin": "score(chosen) − score(rejected), in the annotator's unit.",
    "round": "Of the run, counted from 1; 0: brought along.",
    "prompt_id": "Digest of the prompt.",
    "chosen_id": "Digest of prompt and chosen response.",
    "rejected_id": "Digest of prompt and rejected response.",
    "pair_id": "Digest of these three, by which prefopt trace finds the pair.",
    "chosen_finished": "false: cut off at the most tokens; null: not known.",
    "rejected_finished": "The same of the worse response.",
}
"""Columns of an exported file, and what they hold."""
TEST = (
    "prompts that no round has seen: of what the start policy and the kept policy answered, the "
    "best against the worst, as the run's evaluation graded them; ties are left out"
)
_FOLDERS = re.compile(r"(?<![\w./-])/(?:[^\s/'\",}]+/)+")
_LICENCE = (
    "None is set here. Add license: to the head of this file before you publish: what prompts, "
    "model and annotator allow limits which one."
)


@dataclass(frozen=True)
class Splits:
    """The rows of a data set.

    Attributes:
        train: Table `preferences`.
        test: The same on held-out prompts; None: there is none.
    """

    train: pl.DataFrame
    test: pl.DataFrame | None = None


def data_set_page(
    lineage: Lineage, splits: Splits, made: Sequence[Origin], run: Run | None
) -> Page:
    """The card of a data set of pairs.

    Args:
        lineage: Of the store.
        splits: Its rows.
        made: How the tables of the training split came to be.
        run: That learned from them; None: no run is known that did.

    Raises:
        StoreError: A table with labels is gone from the store.
    """
    rows: list[list[Cell]] = [["train", f"{splits.train.height:,}", "what the policy learned from"]]
    if splits.test is not None:
        rows.append(["test", f"{splits.test.height:,}", TEST])
    return Page(
        f"Preference pairs{f' of {run.name}' if run else ''}",
        [
            Text(
                f"{counted(splits.train.height, 'pair')} in TRL's columns, made with prefopt: "
                "responses were sampled, some selected for labels, and paired by what was said of "
                "them."
            ),
            Table(["split", "pairs", "what it is"], rows),
            _by_round(splits.train),
            Heading("How they were made"),
            Table(["step", "settings"], [*_steps(made), *_budget(run)]),
            *_trust(lineage, made),
            *_came_to(lineage, run, "What the policy that learned from them came to"),
            Heading("Columns"),
            Table(["column", "what it holds"], [[name, COLUMNS[name]] for name in COLUMNS]),
            Heading("Licence"),
            Text(_LICENCE),
            *_command(run),
        ],
    )


def model_page(lineage: Lineage, policy: Made, run: Run | None) -> Page:
    """The card of a policy.

    Args:
        lineage: Of the store.
        policy: The model.
        run: That kept it; None: no run is known that did.

    Raises:
        StoreError: A table with figures is gone from the store.
    """
    inputs, started = policy.inputs, policy
    assert isinstance(policy.output, Folder)
    lora = adapter_in(lineage.store.open_folder(policy.output))
    merged = " Adapters are merged." if lora else ""
    while started.inputs.get("policy"):
        started = lineage.made(started.inputs["policy"])
    rows: list[list[Cell]] = [["start policy", base_model(run) or _settings(started)]]
    tables = [lineage.made(each) for each in inputs.get("preferences", [])]
    if tables:
        pairs = sum(made.table.rows for made in tables)
        rows.append(["data", f"{counted(pairs, 'preference pair')} in its last training"])
        rows.append(["training", _settings(policy)])
        rows.append(["reference model", "the policy before that training"])
    if run:
        rows.insert(0, ["method", f"prefopt {run.flow}, round {run.kept}"])
    return Page(
        f"Policy{f' of {run.name}' if run else ''}",
        [
            Text(f"A language model aligned to preferences with prefopt.{merged}"),
            Table(["", "what"], [*rows, *_budget(run)]),
            *_came_to(lineage, run, "What it came to"),
            Heading("Licence"),
            Text(f"{_LICENCE} That of the start policy holds, too."),
            *_command(run),
        ],
    )


def base_model(run: Run | None) -> str | None:
    """The hub id of the start policy; None if it was a folder or is not known."""
    policy = (yaml.safe_load(run.config) or {}).get("policy") if run and run.config else None
    path = ((policy or {}).get("params") or {}).get("path")
    return path if path and path.count("/") < 2 and not Path(path).exists() else None


def _by_round(pairs: pl.DataFrame) -> Table:
    counts = pairs.group_by("round", "source", "annotator").len().sort("round", "source")
    rows = [[str(cell) for cell in row] for row in counts.iter_rows()]
    return Table(["round", "source", "annotator", "pairs"], rows)


def _steps(made: Sequence[Origin]) -> Iterator[list[Cell]]:
    """A line for each way in which a step was done, whatever the round."""
    lines: dict[tuple[str, str], None] = {}
    for origin in made:
        for step, part in (
            ("sampling", origin.candidates),
            ("selection", origin.selections),
            ("labels", origin.labels),
            ("self-judgment", origin.judgments),
            ("pairing" if origin.candidates else "pairs of a file, by digest", origin.pairs),
        ):
            if part:
                lines[step, _settings(part)] = None
    return ([step, settings] for step, settings in lines)


def _settings(made: Made) -> str:
    config = made.inputs.get("config") or {}
    known = ((name, short(value)) for name, value in flat(config) if value is not None)
    return ", ".join(f"{name} {_named(value)}" for name, value in known) or "none"


def _budget(run: Run | None) -> Iterator[list[Cell]]:
    if run and run.labels:
        budget = (yaml.safe_load(run.config) or {}).get("budget") if run.config else None
        of = f" of a budget of {budget:,}" if budget is not None else ""
        paid = f", {run.cost:,.2f} paid" if run.cost else ""
        yield ["budget", f"{counted(run.labels, 'label')}{of}{paid}"]


def _trust(lineage: Lineage, made: Sequence[Origin]) -> Sequence[Part]:
    paid = [(origin.labels, origin.candidates) for origin in made]
    both = [(labels, candidates) for labels, candidates in paid if labels and candidates]
    if not both:
        return []
    read = lineage.store.read
    texts = [read(candidates.table, ["candidate_id", "response"]) for _, candidates in both]
    verdicts = pl.concat(
        _numbered(read(labels.table), labels.inputs["config"]["annotator"]) for labels, _ in both
    )
    return honesty_parts(verdicts, pl.concat(texts).unique("candidate_id"))


def _numbered(verdicts: pl.DataFrame, annotator: str) -> pl.DataFrame:
    """Verdicts with numbers for names; a judge's are those of models."""
    if annotator.startswith("llm-judge"):
        return verdicts
    names = sorted({*verdicts["by"]} - {""})
    numbers = {name: f"person {number}" for number, name in enumerate(names, 1)}
    return verdicts.with_columns(pl.col("by").replace(numbers))


def _came_to(lineage: Lineage, run: Run | None, title: str) -> Sequence[Part]:
    if run is None or not run.metrics:
        return []
    figures = lineage.store.read_all(run.metrics)
    return [Heading(title), *rounds_in_words(figures, run.kept)]


def _command(run: Run | None) -> Iterator[Part]:
    if run is None or not run.config:
        return
    yield Heading("How to make it again")
    yield Text("With these settings in run.yaml, and its files beside it:")
    yield Code(f"prefopt run run.yaml{f'  # {_without_paths(run.command)}' * bool(run.command)}")
    config = yaml.safe_dump(_unplaced(yaml.safe_load(run.config)), sort_keys=False)
    yield Fold("All settings", [Code(config)])


def _without_paths(text: str) -> str:
    """A command with names of files in place of whole paths."""
    return _FOLDERS.sub("", text)


def _unplaced(value: Any) -> Any:
    """Settings with names of files in place of whole paths."""
    if isinstance(value, Mapping):
        return {name: _unplaced(own) for name, own in value.items()}
    return [_unplaced(own) for own in value] if isinstance(value, list) else _named(value)


def _named(value: Any) -> Any:
    return Path(value).name if isinstance(value, str) and os.path.isabs(value) else value
