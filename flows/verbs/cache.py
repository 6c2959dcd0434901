"""`cache`: ls, explain, verify, rm, gc."""

import argparse
import time

from rich.console import Console
from rich.table import Table

from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.store import LabelStore
from prefopt_core.models.server.kept import ResponseStore
from prefopt_core.store import maintenance
from prefopt_core.store.store import Store


def cache(arguments: argparse.Namespace) -> None:
    """Do one of the actions."""
    actions = {"ls": _ls, "explain": _explain, "verify": _verify, "rm": _rm, "gc": _gc}
    actions[arguments.action](Store.open(), arguments)


def _ls(store: Store, arguments: argparse.Namespace) -> None:
    table = Table("stage", "results", "rows", "MB", "seconds to compute", title=str(store.root))
    for held in maintenance.holdings(store):
        table.add_row(
            held.stage,
            str(held.results),
            f"{held.rows:,}",
            f"{held.size / 1e6:,.1f}",
            f"{held.seconds:,.1f}",
        )
    Console().print(table)
    for annotator, guidelines, count in LabelStore(store.root).counts():
        print(f"{count} labels of {annotator}, guidelines {guidelines}")
    for bought in ResponseStore(store.root).bought():
        print(
            f"{bought.responses} responses of {bought.model}: {bought.prompt_tokens:,} prompt and "
            f"{bought.completion_tokens:,} completion tokens"
            + f", {bought.cost:,.4g} paid"
            * bool(bought.cost)
        )


def _explain(store: Store, arguments: argparse.Namespace) -> None:
    manifest = maintenance.find(store, arguments.artifact)[0]
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.created))
    Console().print_json(manifest.model_dump_json(exclude={"format"}))
    print(
        f"made by stage {manifest.stage} version {manifest.version} on {created} in "
        f"{manifest.seconds:.1f} s; intact: {store.check(manifest.output) or 'yes'}"
    )


def _verify(store: Store, arguments: argparse.Namespace) -> None:
    checked = list(maintenance.verify(store))
    problems = [f"{m.stage} {m.key[:12]}: {problem}" for m, problem in checked if problem]
    print(*problems, f"{len(checked) - len(problems)} of {len(checked)} results intact", sep="\n")
    if problems:
        raise StoreError("Damaged results are computed again by the next run that needs them.")


def _rm(store: Store, arguments: argparse.Namespace) -> None:
    removed = maintenance.remove(store, arguments.stage)
    print(f"{len(removed)} results forgotten; `prefopt cache gc` frees their space. Labels stay.")


def _gc(store: Store, arguments: argparse.Namespace) -> None:
    count, size = maintenance.collect(store, dry_run=arguments.dry_run)
    verb = "would be freed" if arguments.dry_run else "freed"
    print(f"{count} files and folders, {size / 1e6:,.1f} MB {verb}; labels and results stay")
