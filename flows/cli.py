"""The `prefopt` command: parse, then hand over to the verb's function."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

VERBS = {
    "run": "flows.verbs.run:run",
    "plan": "flows.verbs.run:plan",
    "compare": "flows.verbs.compare:compare",
    "select": "flows.verbs.select:select",
    "pool": "flows.verbs.pool:pool",
    "list": "flows.verbs.listing:list_names",
    "show": "flows.verbs.show:show",
    "export": "flows.verbs.show:export",
    "ui": "flows.verbs.run:ui",
    "deploy": "flows.verbs.deploy:deploy",
    "cache": "flows.verbs.cache:cache",
    "doctor": "flows.verbs.doctor:doctor",
}
"""Verb → its function, imported when used: `prefopt --help` must not wait for torch or Prefect."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; errors a user can cause end in one line, not a traceback."""
    arguments = parse(argv)
    module, _, function = VERBS[arguments.verb].partition(":")

    from pydantic import ValidationError

    from prefopt_core.ground.errors import PrefoptError

    try:
        getattr(importlib.import_module(module), function)(arguments)
    except PrefoptError as error:
        problems = [str(error)]
    except ValidationError as error:
        problems = [_problem(tuple(e["loc"]), e["msg"]) for e in error.errors()]
    except KeyboardInterrupt:
        print("\nprefopt: interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    else:
        return 0
    print(*(f"prefopt: {problem}" for problem in problems), sep="\n", file=sys.stderr)
    return 2


def _problem(place: tuple[int | str, ...], message: str) -> str:
    setting = ".".join(map(str, place))
    return f"{setting}: {message}".removeprefix(": ").replace("Value error, ", "")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; settings such as selection.k=4 may stand before or behind options."""
    arguments, rest = parser().parse_known_args(argv)
    if rest and not (hasattr(arguments, "changes") and all(r[0] != "-" and "=" in r for r in rest)):
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.changes += rest
    return arguments


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="prefopt",
        description="Align language models to preferences with few labels.",
        epilog="Artifacts lie in the store: $PREFOPT_STORE, by default data/store.",
    )
    verbs = top.add_subparsers(required=True, metavar="VERB", dest="verb")

    for name, text in (
        ("run", "run a config; what the store holds is not computed again"),
        ("plan", "show what a run would do, and which labels it would buy"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("config", help="YAML file, or the name of a deployment in prefect.yaml")
        verb.add_argument(
            "changes", nargs="*", metavar="selection.k=4", help="settings that differ from it"
        )
        verb.add_argument(
            "--refresh", action="append", default=[], metavar="STAGE", help="compute it again"
        )
    run = verbs.choices["run"]
    run.add_argument("--quiet", action="store_true", help="print errors and the result only")
    run.add_argument("--no-server", action="store_true", help="run without Prefect")

    compare = verbs.add_parser("compare", help="spend the same labels in several ways, by seeds")
    compare.add_argument("preset", help="YAML file with base, arms and baseline; see presets/")
    compare.add_argument(
        "changes", nargs="*", metavar="budget=64", help="settings of every arm that has none itself"
    )
    compare.add_argument("--seeds", type=int, metavar="N", help="runs of every arm (default: 10)")
    compare.add_argument("--first-seed", type=int, metavar="SEED", help="(default: 0)")
    compare.add_argument(
        "--workers", type=int, default=1, metavar="N", help="seeds run at once (default: 1)"
    )
    compare.add_argument("--plan", action="store_true", help="show which runs the store holds")
    compare.add_argument("--out", type=Path, metavar="FOLDER", help="write .md, .png and .csv")
    compare.add_argument("--quiet", action="store_true", help="print errors and the result only")
    compare.add_argument("--no-server", action="store_true", help="run without Prefect")

    select = verbs.add_parser("select", help="choose which responses of a file to label")
    select.add_argument("file", type=Path, help=".csv, .jsonl or .parquet of candidates")
    select.add_argument("--k", type=int, default=2, help="responses per prompt (default: 2)")
    select.add_argument("--strategy", default="aepo", help="see `prefopt list strategies`")
    select.add_argument("--similarity", default="cosine", help="see `prefopt list similarities`")
    select.add_argument("--embedder", default="sentence-transformers", help="for the cosine")
    select.add_argument("--seed", type=int, default=0)
    select.add_argument("--empty", choices=("error", "drop", "keep"), default="error")
    select.add_argument("--output", type=Path, help="write .csv, .jsonl or .parquet")

    pool = verbs.add_parser("pool", help="choose which prompts of a large file deserve labels")
    pool.add_argument(
        "file", type=Path, help=".csv, .jsonl or .parquet of prompts; of --vectors, .parquet"
    )
    pool.add_argument("--count", type=int, required=True, help="how many to choose")
    pool.add_argument(
        "--strategy", default="facility_location", help="see `prefopt list pool-strategies`"
    )
    pool.add_argument("--column", help="the column with prompts (default: prompt or instruction)")
    pool.add_argument("--vectors", metavar="COLUMN", help="a column of embeddings; else embed")
    pool.add_argument("--strata", metavar="COLUMN", help="a column; every value gets its share")
    pool.add_argument(
        "--rule", default="proportional", help="shares: proportional, square_root or equal"
    )
    pool.add_argument(
        "--near-duplicates",
        type=float,
        default=0.95,
        metavar="COSINE",
        help="from which one prompt stands for another of its stratum (default: 0.95; 1: none)",
    )
    pool.add_argument("--embedder", default="sentence-transformers")
    pool.add_argument("--seed", type=int, default=0)
    pool.add_argument("--output", type=Path, help="write .csv, .jsonl or .parquet")

    names = verbs.add_parser("list", help="list what a config can name, with its settings")
    names.add_argument("kind", nargs="?", help="strategies, annotators, …; all kinds if left out")

    show = verbs.add_parser("show", help="show an artifact as a table")
    show.add_argument("artifact", help="a table's name (its newest), or the start of a digest")
    show.add_argument("--rows", type=int, default=10)

    export = verbs.add_parser("export", help="write preferences in TRL's format, or a model")
    export.add_argument("folder", type=Path)
    export.add_argument(
        "--artifact",
        help="a stage or digest, `train` for the newest policy, whose adapters are merged "
        "(default: all pairs that the last run learned from)",
    )
    export.add_argument("--format", choices=("parquet", "jsonl"), default="parquet")
    export.add_argument(
        "--text", action="store_true", help="plain texts instead of messages, for base models"
    )

    ui = verbs.add_parser("ui", help="open Prefect's pages on the runs of this store")
    ui.add_argument("--port", type=int, default=4200)

    verbs.add_parser("deploy", help="publish the runs of prefect.yaml to a Prefect server")

    verbs.add_parser("doctor", help="what works on this machine, and what mends the rest")

    cache = verbs.add_parser("cache", help="look after the store")
    actions = cache.add_subparsers(required=True, metavar="ACTION", dest="action")
    actions.add_parser("ls", help="what the store holds, by stage")
    explain = actions.add_parser("explain", help="what an artifact was made of, and how")
    explain.add_argument("artifact", help="the start of a digest or key")
    actions.add_parser("verify", help="compare every object with its digest")
    remove = actions.add_parser("rm", help="forget results, so that they are computed again")
    remove.add_argument("stage", help="a stage, or the start of a digest or key")
    collect = actions.add_parser("gc", help="delete what nothing refers to")
    collect.add_argument("--dry-run", action="store_true")
    return top


if __name__ == "__main__":
    sys.exit(main())
