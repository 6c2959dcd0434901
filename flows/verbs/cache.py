"""The verbs that follow `prefopt cache`: `ls`, `explain`, `verify`, `rm`, `gc`, `push`, `pull`."""

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.terminal import Terminal, say
from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.labels.holdings import holdings, in_words
from prefopt_core.labels.store import LabelStore
from prefopt_core.models.server.kept import ResponseStore
from prefopt_core.reports.labels import counted
from prefopt_core.store import maintenance, transfer
from prefopt_core.store.manifests import read_manifest
from prefopt_core.store.postgres import Database
from tasks.session import current_store


def ls() -> None:
    """Print what the store holds, by stage, and what was bought."""
    store = current_store()
    rows = [
        [h.stage, str(h.results), f"{h.rows:,}", f"{h.size / 1e6:,.1f}", f"{h.seconds:,.1f}"]
        for h in maintenance.holdings(store)
    ]
    header = ["stage", "results", "rows", "MB", "seconds to compute"]
    Terminal().table(header, rows, str(store))
    try:
        ledgers = store.ledgers
    except ConfigError:  # nothing was bought: that has to be said first
        return
    _tell_database(ledgers)
    for held in holdings(LabelStore(ledgers)):
        labels = counted(held.labels, "label")
        say(f"{labels} of {in_words(held.annotator)}, guidelines {held.guidelines}")
    for bought in ResponseStore(ledgers).bought():
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


def gc(
    *,
    dry_run: Annotated[bool, Parameter(help="only say what would be freed")] = False,
    older_than: Annotated[
        timedelta | None,
        Parameter(
            help="spare what is younger, such as 36h or 7d: longer than the longest stage of any "
            "machine that uses a store behind a URL",
            show_default="7d behind a URL, else any age",
        ),
    ] = None,
) -> None:
    """Delete objects that no manifest refers to.

    Raises:
        StoreError: A store behind a URL cannot be reached, or has a manifest that cannot be read.
    """
    age = None if older_than is None else older_than.total_seconds()
    count, size = maintenance.collect_garbage(current_store(), dry_run=dry_run, older_than=age)
    verb = "would be freed" if dry_run else "freed"
    say(f"{count} files and folders, {size / 1e6:,.1f} MB {verb}; labels and results stay")


_Url = Annotated[str, Parameter(help="s3://bucket/folder, gs://… or az://…")]


def push(url: _Url, /) -> None:
    """Copy the results, records and pages of the store behind a URL.

    Raises:
        ConfigError: It is no URL of a store.
        StoreError: The server refuses, or a result here is damaged.
    """
    store = current_store()
    _tell_copied(transfer.push(store, url), url)
    with suppress(ConfigError):
        _tell_database(store.ledgers)


def pull(url: _Url, /) -> None:
    """Copy the results, records and pages behind a URL to the store.

    Raises:
        ConfigError: It is no URL of a store.
        StoreError: The server refuses, or a result there is damaged.
    """
    _tell_copied(transfer.pull(current_store(), url), str(current_store()))


def _tell_database(ledgers: Path | Database) -> None:
    if isinstance(ledgers, Database):
        say(f"labels and responses that were paid for are in {ledgers}")


def _tell_copied(copied: Iterable[transfer.Copied], to: str) -> None:
    done = list(copied)
    problems = [f"{one.name}: {one.problem}" for one in done if one.problem]
    new, size = sum(one.new for one in done), sum(one.size for one in done)
    there = len(done) - new - len(problems)
    say(*problems, f"{new} results copied to {to} ({size / 1e6:,.1f} MB), {there} were there")
    if problems:
        raise StoreError("Damaged results are not copied. `prefopt cache verify` names them all.")
