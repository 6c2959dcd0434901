"""People label the responses of a file, outside of any run."""

from dataclasses import replace

import polars as pl

from prefopt_core.annotation.asking import Form
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.table import buy_labels, distinct_responses
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.store import LabelStore

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
    config = AnnotationConfig(annotator="people", params={"ask": ask}, account=account)
    allowance = Allowance(account, _NO_LIMIT)
    return buy_labels(asked, config, _NO_LIMIT, kept, seed=0, allowance=allowance)
