"""Labels that tables of the stage `annotate` hold: what a lost ledger is made of again."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prefopt_core.annotation.identity import identity, identity_of
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.account import spend
from prefopt_core.labels.intact import intact_labels
from prefopt_core.labels.purchase import write_texts, write_verdict
from prefopt_core.labels.questions import Question, Shown, verdict_of
from prefopt_core.labels.store import AnnotatorIdentity, Label, LabelStore, unnamed
from prefopt_core.store.artifacts import Artifact, canonical_json
from prefopt_core.store.ledger import Connection, transaction
from prefopt_core.store.lineage import Lineage
from prefopt_core.store.manifests import Manifest
from prefopt_core.store.running import stage_store
from prefopt_core.store.runs import runs
from prefopt_core.store.store import Store

_SAID = ("scores", "preference")


@dataclass(frozen=True)
class Bought:
    """The labels of one table.

    Attributes:
        annotator: Whose they are.
        labels: As they were bought.
        manifest: Of the stage that bought them, or found them among those bought before.
    """

    annotator: AnnotatorIdentity
    labels: list[Label]
    manifest: Manifest


def bought_in(store: Store) -> Iterator[Bought]:
    """The labels of every table that the stage `annotate` made, the oldest table first."""
    for manifest in reversed([*store.manifests("annotate")]):
        table = manifest.output
        if isinstance(table, Artifact) and not store.check(table):  # else there is nothing to read
            labels = [_label(row) for row in store.read(table).iter_rows(named=True)]
            yield Bought(identity_of(manifest.inputs["config"]), labels, manifest)


def _label(row: Mapping[str, Any]) -> Label:
    content = {name: row[name] for name in _SAID if row[name] is not None}
    verdict = verdict_of(
        row["state"],
        content,
        by=row["by"],
        why=row["why"],
        usage=Usage(cost=row["cost"]),
        seconds=row["seconds"],
    )
    return Label(row["prompt_id"], tuple(row["responses"]), verdict)


def lacking(store: Store, kept: LabelStore) -> list[Bought]:
    """What tables hold and the label store does not, each label once.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    there: dict[tuple[str | None, str, str], set[tuple[str, ...]]] = defaultdict(set)
    for (annotator, guidelines), labels in intact_labels(kept).items():
        name, content = unnamed(annotator)
        there["", content, guidelines] |= labels
        there[name, "", guidelines] |= labels
    found = []
    for bought in bought_in(store):
        who = bought.annotator
        content = "" if who.called else unnamed(who.name)[1]
        known = there[who.called or "", content, who.guidelines]
        new = [label for label in bought.labels if _key(label) not in known]
        known |= {_key(label) for label in new}
        if new:
            found.append(Bought(who, new, bought.manifest))
    return found


def doubts_of_lost(config: AnnotationConfig, kept: LabelStore) -> Iterator[str]:
    """Labels of an annotator that tables of the store hold and the label store does not.

    Args:
        config: The annotator.
        kept: The label store.

    Yields:
        A sentence, with the count.
    """
    # Labels lie in the store, or where PREFOPT_LABELS says, apart from it.
    who, store, root = identity(config), stage_store(), kept.root
    if isinstance(root, Path) and (root / "manifests").is_dir():
        store = Store(root)
    there = sum(number for _, number, _ in kept.sources(who))
    tables = (m for m in store.manifests("annotate") if _same(identity_of(m.inputs["config"]), who))
    held = sum(table.output.rows for table in tables if isinstance(table.output, Artifact))
    if held <= there:  # usually so, and no table needs to be read
        return
    lost = sum(len(b.labels) for b in lacking(store, kept) if _same(b.annotator, who))
    if lost:
        yield (
            f"{lost} labels of this annotator were bought before, as tables of the store say, and "
            f"are not in {kept.ledger}: what is needed of them would be bought again. If you "
            "did not delete them, put them back first: `prefopt labels rebuild`."
        )


def _same(one: AnnotatorIdentity, other: AnnotatorIdentity) -> bool:
    if one.guidelines != other.guidelines:
        return False
    return one.called == other.called if other.called else one.name == other.name


def _key(label: Label) -> tuple[str, ...]:
    return label.prompt_id, canonical_json(list(label.responses)), label.verdict.by


def put_back(store: Store, kept: LabelStore, lost: Iterable[Bought]) -> int:
    """Write labels that tables hold into the label store; none that is there is changed.

    They are as old as their table. Tokens are not known any more; nor is who paid, but where the
    record of a run says it: then they count towards its budget.

    Returns:
        How many labels were written.

    Raises:
        StoreError: The SQLite file cannot be written.
    """
    behind, number = _Behind(store), 0
    with kept.connected() as connection, transaction(connection):
        for bought in lost:
            account = behind.accounts.get(bought.manifest.output.digest, "")
            texts = behind.texts(bought)
            for label in bought.labels:
                question = _question(label, texts)
                at = bought.manifest.created
                write_verdict(connection, bought.annotator, question, label.verdict, account, at)
                write_texts(connection, [question] if question.prompt else [])
            if account:
                _count(connection, account)
            number += len(bought.labels)
    return number


def _question(label: Label, texts: Mapping[str, Any]) -> Question:
    """What was asked; without its texts where one is not known any more."""
    if not texts.keys() >= {label.prompt_id, *label.responses}:
        return Question(label.prompt_id, (), tuple(Shown(one, "") for one in label.responses))
    shown = tuple(Shown(one, texts[one]) for one in label.responses)
    return Question(label.prompt_id, texts[label.prompt_id], shown)


def _count(connection: Connection, account: str) -> None:
    """Count the labels of an account as spent, but those that are counted already."""
    (labels,) = connection.execute(
        "SELECT COUNT(*) FROM (SELECT DISTINCT annotator, guidelines, prompt_id, compared, said_by "
        "FROM verdicts WHERE account = ?) AS v",
        (account,),
    ).fetchone()
    spent = connection.execute(
        "SELECT labels FROM accounts WHERE account = ?", (account,)
    ).fetchone()
    spend(connection, account, max(0, labels - (spent[0] if spent else 0)), 0.0)


class _Behind:
    """What lies behind tables of labels: the texts asked about, and who paid."""

    def __init__(self, store: Store) -> None:
        self._store, self._lineage = store, Lineage(store)

    @cached_property
    def accounts(self) -> dict[str, str]:
        """Digest of a table `verdicts` → the account of the first run that used it."""
        found: dict[str, str] = {}
        for run in reversed(runs(self._store)):
            for pairs in run.preferences if run.account else ():
                with suppress(StoreError):  # its manifest was removed
                    inputs = self._lineage.made({"digest": pairs.digest}).inputs
                    found.setdefault((inputs.get("labels") or {}).get("digest", ""), run.account)
        return found

    def texts(self, bought: Bought) -> dict[str, Any]:
        """Id → the messages of a prompt, or a response; none if their tables are gone."""
        prompts, candidates = (
            self._rows(bought.manifest.inputs[table], columns)
            for table, columns in (
                ("prompts", ["prompt_id", "prompt"]),
                ("candidates", ["candidate_id", "response"]),
            )
        )
        return prompts | candidates

    def _rows(self, table: Mapping[str, str], columns: list[str]) -> dict[str, Any]:
        try:
            return dict(self._store.read(self._lineage.made(table).table, columns).iter_rows())
        except StoreError:
            return {}
