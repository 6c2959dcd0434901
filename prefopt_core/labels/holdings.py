"""Holdings: what the label store holds of each annotator, by whom, and who paid."""

import json
from dataclasses import dataclass, field
from typing import Any

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.foreign import cut
from prefopt_core.ground.ids import digest_of, quoted
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.labels.schema import refuse_torn, rename
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.artifacts import canonical_json
from prefopt_core.store.ledger import Connection, transaction

_TELLING = ("model_name", "model", "function", "path")
"""Settings that say most about who an annotator is."""


@dataclass(frozen=True)
class Share:
    """Labels of a holding that one person gave, or that one account paid for.

    Attributes:
        who: The person, or the account.
        labels: How many.
        first: When the first was bought, in seconds since 1970.
        last: When the last was.
    """

    who: str
    labels: int
    first: float
    last: float


@dataclass
class Holding:
    """All labels of one annotator under one version of its guidelines.

    Attributes:
        annotator: Its text in the label store.
        guidelines: The version.
        labels: How many there are; both orders of a pair are one label.
        states: State of verdicts → how many there are.
        cost: That is known of: what servers were paid, and the price of people's labels.
        people: Who gave them.
        accounts: Who paid for them.
        awaited: Labels that open questions still wait for.
    """

    annotator: str
    guidelines: str
    labels: int = 0
    states: dict[str, int] = field(default_factory=dict)
    cost: float = 0.0
    people: list[Share] = field(default_factory=list)
    accounts: list[Share] = field(default_factory=list)
    awaited: int = 0

    @property
    def id(self) -> str:
        """A short name for it."""
        return holding_id(self.annotator, self.guidelines)

    @property
    def content(self) -> str:
        """What tells functions of one name apart: eight digits of what is in their files."""
        _, params, _ = _parts(self.annotator)
        return str(params.get("function_file", ""))[:8]

    @property
    def verdicts(self) -> int:
        """How many verdicts there are."""
        return sum(self.states.values())


def holding_id(annotator: str, guidelines: str) -> str:
    """Eight digits for an annotator and a version of guidelines."""
    return digest_of(annotator, guidelines)[:8]


def in_words(annotator: str) -> str:
    """An annotator as one reads it: its kind, what tells it from others, its name.

    >>> in_words('{"name":"Mary","reward-model":{"label":0,"model":"some/model"}}')
    "reward-model some/model 'Mary'"
    """
    kind, params, name = _parts(annotator)
    telling = [cut(str(params[key]), 40) for key in _TELLING if params.get(key)][:1]
    return " ".join([kind, *telling, *([repr(name)] if name else [])])


def _parts(annotator: str) -> tuple[str, dict[str, Any], str | None]:
    try:
        parts = dict(json.loads(annotator))
        name = parts.pop("name", None)
        ((kind, params),) = parts.items()
        return kind, dict(params), name
    except (ValueError, TypeError):
        return annotator, {}, None


def holdings(kept: LabelStore, whose: str | None = None) -> list[Holding]:
    """All holdings, or those that are meant.

    Args:
        kept: The label store.
        whose: The start of a holding's id, or an annotator, or the name that a user gave it; None:
            everybody's.

    Raises:
        DataError: There are none of that name.
        StoreError: The SQLite file cannot be read.
    """
    found = []
    if kept.ledger.exists():
        with kept.connected() as connection:
            found = _holdings(connection)
    if whose is None:
        return found
    meant = [
        holding for holding in found if whose in _names(holding) or holding.id.startswith(whose)
    ]
    if not meant:
        names = {name for holding in found for name in (holding.id, *_names(holding))}
        raise DataError(f"There are no labels of {whose!r}.{did_you_mean(whose, names)}")
    return meant


def give_name(kept: LabelStore, holding: Holding, name: str) -> int:
    """Give the annotator of a holding a name, by which its labels are found from then on.

    Returns:
        How many labels got it; those that the annotator of that name has, too, stay as they are.

    Raises:
        DataError: Its labels are kept under no name that can be changed.
        StoreError: The SQLite file cannot be written.
    """
    try:
        named = canonical_json(json.loads(holding.annotator) | {"name": name})
    except (ValueError, TypeError):
        raise DataError(
            f"{quoted(holding.annotator)} can have no name. Keep it as it is."
        ) from None
    of_holding = (holding.annotator, holding.guidelines)
    with kept.connected() as connection, transaction(connection):
        connection.execute(
            "UPDATE questions SET annotator = ? WHERE annotator = ? AND guidelines = ? AND NOT "
            "EXISTS (SELECT 1 FROM questions o WHERE (o.annotator, o.guidelines, o.prompt_id, "
            "o.compared) = (?, questions.guidelines, questions.prompt_id, questions.compared))",
            (named, *of_holding, named),
        )
        labels = rename(connection, holding.annotator, named, holding.guidelines)
        # What people of that name are asked, too, would hold its labels in a budget twice.
        connection.execute(
            "DELETE FROM questions WHERE annotator = ? AND guidelines = ?", of_holding
        )
    return labels


def _names(holding: Holding) -> set[str]:
    kind, _, name = _parts(holding.annotator)
    return {kind, name} if name else {kind}


def _holdings(connection: Connection) -> list[Holding]:
    found: dict[tuple[str, str], Holding] = {}

    def holding(annotator: str, guidelines: str) -> Holding:
        return found.setdefault((annotator, guidelines), Holding(annotator, guidelines))

    for *key, state, number, cost in connection.execute(_STATES):
        holding(*key).states[state] = number
        holding(*key).cost += cost
    for *key, labels in connection.execute(_LABELS):
        holding(*key).labels = labels
    for *key, awaited in connection.execute(_AWAITED):
        holding(*key).awaited = int(awaited)
    for column, name in (("said_by", "people"), ("account", "accounts")):
        for *key, who, number, first, last in connection.execute(_SHARES.format(column=column)):
            getattr(holding(*key), name).append(Share(who, number, first, last))
    if any(None in key for key in found):
        refuse_torn()
    return [found[key] for key in sorted(found)]


# A question has one price, whatever the order in which it was shown.
_STATES = """
SELECT v.annotator, v.guidelines, v.state, COUNT(*),
    COALESCE(SUM(v.cost), 0.0) + COALESCE(SUM(q.price), 0.0)
FROM verdicts v LEFT JOIN questions q
    ON (q.annotator, q.guidelines, q.prompt_id, q.compared)
     = (v.annotator, v.guidelines, v.prompt_id, v.compared)
GROUP BY 1, 2, 3 ORDER BY 4 DESC
"""
_LABELS = """
SELECT annotator, guidelines, COUNT(*)
FROM (SELECT DISTINCT annotator, guidelines, prompt_id, compared, said_by FROM verdicts) AS v
GROUP BY 1, 2
"""
_AWAITED = "SELECT annotator, guidelines, SUM(awaited) FROM awaiting GROUP BY 1, 2"
_SHARES = """
SELECT annotator, guidelines, {column}, COUNT(*), MIN(bought_at), MAX(bought_at)
FROM verdicts GROUP BY 1, 2, 3 ORDER BY 5
"""
