"""The verbs `cache ls`, `explain`, `verify`, `rm` and `gc`."""

import time
from typing import Annotated

from cyclopts import Parameter

from flows.terminal import Terminal, say
from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.holdings import holdings, in_words
from prefopt_core.labels.store import LabelStore
from prefopt_core.models.server.kept import ResponseStore
from prefopt_core.reports.labels import counted
from prefopt_core.store import maintenance
from prefopt_core.store.store import read_manifest
from tasks.session import current_store


def ls() -> None:
    """Print what the store holds, by stage, and what was bought."""
    store = current_store()
    rows = [
        [h.stage, str(h.results), f"{h.rows:,}", f"{h.size / 1e6:,.1f}", f"{h.seconds:,.1f}"]
        for h in maintenance.holdings(store)
    ]
    header = ["stage", "results", "rows", "MB", "seconds to compute"]
    Terminal().table(header, rows, str(store.root))
    for held in holdings(LabelStore.of(store)):
        labels = counted(held.labels, "label")
        say(f"{labels} of {in_words(held.annotator)}, guidelines {held.guidelines}")
    for bought in ResponseStore(store.root).bought():
        paid = f", {bought.cost:,.4g} paid" if bought.cost else ""
        say(
            f"{counted(bought.responses, 'response')} of {bought.model}: "
            f"{bought.prompt_tokens:,} prompt and {bought.completion_tokens:,} completion tokens"
            f"{paid}"
        )


def explain(artifact: Annotated[str, Parameter(help="the start of a digest or key")], /) -> None:
    """Print an artifact's manifest, when it was made, and whether it is intact.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    store = current_store()
    found = maintenance.find(store, artifact)[0]
    manifest = read_manifest(store.manifest_path(found.stage, found.key))
    if isinstance(manifest, str):  # removed by another process since it was found
        raise StoreError(f"{found.stage} {found.key[:12]}: {manifest}.")
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.created))
    say(
        manifest.model_dump_json(exclude={"format"}, indent=2),
        f"made by stage {manifest.stage} version {manifest.version} on {created} in "
        f"{manifest.seconds:.1f} s; intact: {store.check(manifest.output) or 'yes'}",
    )


def verify() -> None:
    """Compare every object with its digest.

    Raises:
        StoreError: An object is damaged.
    """
    checked = list(maintenance.verify(current_store()))
    problems = [f"{m.stage} {m.key[:12]}: {problem}" for m, problem in checked if problem]
    say(*problems, f"{len(checked) - len(problems)} of {len(checked)} results intact")
    if problems:
        raise StoreError("Damaged results are computed again by the next run that needs them.")


def rm(
    stage: Annotated[str, Parameter(help="a stage, or the start of a digest or key")], /
) -> None:
    """Delete the manifests of results, so that they are computed again.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    removed = maintenance.remove(current_store(), stage)
    say(f"{len(removed)} results forgotten; `prefopt cache gc` frees their space. Labels stay.")


def gc(*, dry_run: Annotated[bool, Parameter(help="only say what would be freed")] = False) -> None:
    """Delete objects that no manifest refers to."""
    count, size = maintenance.collect_garbage(current_store(), dry_run=dry_run)
    verb = "would be freed" if dry_run else "freed"
    say(f"{count} files and folders, {size / 1e6:,.1f} MB {verb}; labels and results stay")
