"""Labels as a table: those of an annotator, and what others said of the same responses."""

import json
from collections.abc import Iterable

import polars as pl

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.ids import digest_of
from prefopt_core.ground.tables import TABLES
from prefopt_core.labels.holdings import in_words
from prefopt_core.labels.store import Label, LabelStore


def labels_of_others(
    verdicts: pl.DataFrame, config: AnnotationConfig, kept: LabelStore
) -> pl.DataFrame:
    """What others were bought for to say of the same responses, by the label store.

    Beside people any other counts, beside a judge only people: other judges may have been tried
    and given up.

    Args:
        verdicts: Table `verdicts` of `config`'s labels.
        config: The annotator whose labels these are.
        kept: The label store.

    Returns:
        Table `verdicts`, with annotators in the words of `holdings.in_words`.
    """
    own, known = identity(config), set(verdicts["responses"].explode())
    tables, names = [label_table([], "")], set[str]()
    for text, labels in kept.of_others(own, verdicts["prompt_id"].unique()).items():
        if not (_is_of_people(own.name) or _is_of_people(text)):
            continue
        same = [label for label in labels if known.issuperset(label.responses)]
        name = in_words(text)
        if name in names:  # such as a judge with another template
            name = f"{name} {digest_of(text)[:8]}"
        if same:
            names.add(name)
            tables.append(label_table(same, name))
    return pl.concat(tables)


def _is_of_people(text: str) -> bool:
    """Whether an annotator's text in the label store is that of people."""
    return "people" in json.loads(text)


def label_table(labels: Iterable[Label], annotator: str) -> pl.DataFrame:
    """Table `verdicts` of some labels, which are of one annotator."""
    rows = [
        (
            digest_of(label.prompt_id, *label.responses),
            label.prompt_id,
            list(label.responses),
            annotator,
            label.verdict.by,
            label.verdict.state,
            label.verdict.scores and list(label.verdict.scores),
            label.verdict.preference,
            label.verdict.why,
            label.verdict.usage.cost,
            label.verdict.seconds,
        )
        for label in labels
    ]
    return pl.DataFrame(rows, schema=TABLES["verdicts"].columns, orient="row")
