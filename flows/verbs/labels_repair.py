"""The verbs `labels verify` and `labels rebuild`."""

from typing import Annotated

from cyclopts import Parameter

from flows.terminal import say
from prefopt_core.annotation.from_tables import lacking, put_back
from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.foreign import visible
from prefopt_core.labels.intact import changed_labels, set_aside
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.labels import counted
from tasks.session import current_store


def verify() -> None:
    """Compare every label with its digest, and with what tables of the store hold.

    Raises:
        StoreError: A label was changed since it was written, or is lacking.
    """
    kept = LabelStore.of(current_store())
    number, changed = changed_labels(kept)
    lost = sum(len(bought.labels) for bought in lacking(current_store(), kept))
    say(*(visible(str(one)) for one in changed))
    said = f"{len(changed)} of {counted(number, 'label')} in {kept.ledger} were changed since they "
    said += f"were written; {lost} that tables of the store hold are not there."
    if changed or lost:
        raise StoreError(f"{said} `prefopt labels rebuild` says what can be put back.")
    say(f"{counted(number, 'label')} in {kept.ledger}, all as they were written.")


def rebuild(
    *,
    yes: Annotated[bool, Parameter(help="do it, and not only say what would be done")] = False,
) -> None:
    """Put back labels from the tables of the store; those that are as they were written stay."""
    store, kept = current_store(), LabelStore.of(current_store())
    _, changed = changed_labels(kept)
    lost = lacking(store, kept)
    number = sum(len(bought.labels) for bought in lost)
    if not (changed or lost):
        say(f"Nothing to do: the labels in {kept.ledger} are as they were written.")
    elif yes:
        if copy := set_aside(kept):
            say(f"{counted(len(changed), 'changed label')} taken out; all as it was: {copy}")
        say(f"{counted(put_back(store, kept, lost), 'label')} put back from tables.")
    else:
        say(*(visible(str(one)) for one in changed))
        say(
            f"{counted(len(changed), 'changed label')} would be taken out, with a copy of all "
            f"beside it, and {number} put back from tables; what no table has is bought again by a "
            "run that needs it. Add --yes to do it."
        )
