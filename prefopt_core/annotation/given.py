"""People label the responses of a file, outside of any run."""

from dataclasses import replace

import polars as pl

from prefopt_core.annotation.asking import Form
from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.table import buy_labels, distinct_responses
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore

_NO_LIMIT = 10**9
"""Labels: as many as there are questions."""


def labels_of_people(
    asked: Asked[pl.DataFrame], ask: Form, account: str, kept: LabelStore
) -> pl.DataFrame:
    """What people say about all responses; what they have not said yet is left for them.

    Args:
        asked: Tables `prompts` and `candidates`, the latter as `selections`, too.
        ask: What they are asked.
        account: From which the labels are paid, as many as it takes.
        kept: The label store.

    Returns:
        Table `verdicts`.

    Raises:
        AwaitingLabelsError: Some labels are not given yet; their questions are open.
    """
    place = pl.int_range(pl.len(), dtype=pl.Int32).over("prompt_id")
    selections = distinct_responses(asked.selections).with_columns(rank=place)
    asked = replace(asked, selections=selections)
    config = _config(ask)
    allowance = Allowance(account, _NO_LIMIT)
    return buy_labels(asked, config, _NO_LIMIT, kept, seed=0, allowance=allowance)


def people_asked(ask: Form) -> AnnotatorIdentity:
    """The people who are asked that, as the label store knows them."""
    return identity(_config(ask))


def _config(ask: Form) -> AnnotationConfig:
    return AnnotationConfig(annotator="people", params={"ask": ask})
