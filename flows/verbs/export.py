"""The verb `export`: a run's pairs as a data set, its policy, with cards; answers; to the hub."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.console import ConsoleObserver
from flows.contestants import answering, contestant
from flows.lookup import run_named
from flows.terminal import Terminal, from_here, say
from prefopt_core.export.answers import ANSWERS, answers_in, question_ids
from prefopt_core.export.benchmarks import commands
from prefopt_core.export.cards import (
    CARD,
    data_set_head,
    model_head,
    require_card_of_pairs,
    write_card,
)
from prefopt_core.export.held_out import held_out_pairs
from prefopt_core.export.hub import check_target, push
from prefopt_core.export.model import export_model
from prefopt_core.export.preferences import (
    export_preferences,
    otherwise_in_words,
    remove_split,
    require_ours,
    require_same,
)
from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.reports.cards import Splits, base_model, data_set_page, model_page
from prefopt_core.reports.labels import counted
from prefopt_core.reports.origins import origins
from prefopt_core.reports.render import render_markdown
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.cache_key import key_values
from prefopt_core.store.lineage import Lineage
from prefopt_core.store.maintenance import find, folders
from prefopt_core.store.runs import Run, last_run, runs
from prefopt_core.store.store import Store
from tasks.session import Session, current_store, session


def export(
    folder: Annotated[Path, Parameter(help="where to write it")],
    /,
    *,
    policy: Annotated[
        bool, Parameter(help="the policy that the run kept, adapters merged, instead of its pairs")
    ] = False,
    answers: Annotated[
        Literal["alpaca_eval", "arena-hard", "mt-bench"] | None,
        Parameter(help="what that policy answers, in the files of a benchmark"),
    ] = None,
    questions: Annotated[
        Path | None,
        Parameter(help="whose prompts --answers are to", show_default="the held-out prompts"),
    ] = None,
    run: Annotated[
        str | None, Parameter(help="a name from `prefopt runs`", show_default="the last run")
    ] = None,
    artifact: Annotated[
        str | None, Parameter(help="one table of pairs or one model instead, by its digest")
    ] = None,
    format: Annotated[Literal["parquet", "jsonl"], Parameter(help="of pairs")] = "parquet",
    text: Annotated[
        bool, Parameter(help="plain texts instead of messages, for base models")
    ] = False,
    push_to_hub: Annotated[
        str | None, Parameter(help="send it to this repository of yours, private", metavar="REPO")
    ] = None,
    public: Annotated[bool, Parameter(help="let everybody read the repository")] = False,
    overwrite: Annotated[
        bool, Parameter(help="replace an earlier export of other pairs, or of a model")
    ] = False,
) -> None:
    """Write all pairs that a run learned from as a data set for TRL, or its policy; with a card.

    Answers are files for a benchmark that judges them by itself, and have no card.

    Raises:
        ConfigError: Options contradict each other, or nothing can be sent to the hub.
        DataError: The folder has files that were not exported, or an earlier export.
        HubError: The hub does not take it.
        StoreError: Nothing in the store has that name, it is a table but not of preferences, or no
            run has ended.
    """
    store = current_store()
    _require_folder(folder)
    if answers or questions:
        if not answers or artifact or policy or push_to_hub:
            raise ConfigError("--answers go with --run and --questions alone, and these with them.")
        return _export_answers(_run(store, run), answers, questions, folder)
    _check(artifact, run, policy, push_to_hub, public)
    what, of = _chosen(store, run, artifact, policy)
    if isinstance(what, Folder):
        _export_policy(store, what, of, folder, overwrite)
        files = None
    else:
        files = _export_pairs(store, what, of, folder, (format, text), overwrite)
    if push_to_hub:
        kind: Literal["dataset", "model"] = "model" if files is None else "dataset"
        say(f"sent to {push(folder, push_to_hub, kind, files, public=public)}")
    return None


def _require_folder(folder: Path) -> None:
    if folder.is_file():
        is_config = folder.suffix in (".yaml", ".yml")
        raise ConfigError(
            f"{folder} is a {'config' if is_config else 'file'}; expected a folder to write. "
            f"`prefopt export FOLDER --run {folder.stem}` takes the newest run of that name."
        )


def _check(
    artifact: str | None, run: str | None, policy: bool, target: str | None, public: bool
) -> None:
    if artifact and (run or policy):
        raise ConfigError("--artifact names what to export. Leave out --run and --policy.")
    if target:
        check_target(target)
    elif public:
        raise ConfigError("--public is about --push-to-hub: name a repository, too.")


def _chosen(
    store: Store, name: str | None, artifact: str | None, policy: bool
) -> tuple[Folder | list[Artifact], Run | None]:
    """A policy or tables of pairs, and the run that kept or learned from them."""
    if artifact:
        return _named(store, artifact)
    run = _run(store, name)
    if policy:
        if run.policy is None:
            raise StoreError(f"Run {run.name!r} has no policy: it trained none, or has not ended.")
        return run.policy, run
    if not run.preferences:
        raise StoreError(
            f"Run {run.name!r} has no pairs: its state is {run.state!r}. Run it again."
        )
    return list(run.preferences), run


def _run(store: Store, name: str | None) -> Run:
    return run_named(name) if name else last_run(store)


def _named(store: Store, name: str) -> tuple[Folder | list[Artifact], Run | None]:
    outputs = {entry.output.digest: entry.output for entry in find(store, name)}
    if len(outputs) > 1:
        some = ", ".join(digest[:12] for digest in [*outputs][:3])
        raise ConfigError(
            f"{name!r} names {len(outputs)} results ({some}, …). Give the digest of one; or leave "
            "out --artifact: a run's pairs need no option, its policy --policy."
        )
    output = next(iter(outputs.values()))
    if isinstance(output, Folder):
        return output, next((run for run in runs(store) if run.policy == output), None)
    if output.table == "preferences":
        return [output], None
    raise StoreError(
        f"{name!r} is neither a table of preferences nor a model. `prefopt cache ls` shows what "
        "there is; the stage `pair` makes preferences, `train` models."
    )


def _export_policy(
    store: Store, policy: Folder, run: Run | None, folder: Path, overwrite: bool
) -> None:
    lineage = Lineage(store)
    page = render_markdown(model_page(lineage, lineage.made(key_values(policy)), run))
    card = partial(_write_new_card, head=model_head(base_model(run)), page=page)
    made = export_model(store.open_folder(policy), folder, card, overwrite=overwrite)
    of = f" of {run.name}" if run else ""
    made = Path(from_here(made))
    say(f"model{of} in {made}", "benchmarks take it so:", *(f"  {line}" for line in commands(made)))


def _export_answers(run: Run, benchmark: str, questions: Path | None, folder: Path) -> None:
    store, observer = current_store(), ConsoleObserver(Terminal())
    with observer, session(Session(observer=observer)):
        one = answering(run, questions) if questions else contestant(store, run.name)
    ids = question_ids(questions) if questions else None
    prompts, responses = store.read_all(one.prompts), store.read(one.responses)
    files = ANSWERS[benchmark](
        answers_in(prompts, responses, ids), folder, run.name, run.ended or run.started
    )
    say(f"{counted(responses['prompt_id'].n_unique(), 'answer')} in {', '.join(map(str, files))}")


def _write_new_card(folder: Path, head: dict[str, object], page: str) -> None:
    (folder / CARD).unlink(missing_ok=True)  # the start policy's
    write_card(folder, head, page)


def _export_pairs(
    store: Store,
    tables: list[Artifact],
    run: Run | None,
    folder: Path,
    layout: tuple[Literal["parquet", "jsonl"], bool],
    overwrite: bool,
) -> list[str]:
    """Write the data set, of a form and perhaps as texts; returns the names of its files."""
    form, text = layout
    lineage, pairs = Lineage(store), store.read_all(tables)
    splits = Splits(pairs, held_out_pairs(lineage, run) if run else None)
    page = data_set_page(lineage, splits, origins(lineage, tables), run)
    require_card_of_pairs(folder)
    for split, rows_of in (("train", pairs), ("test", splits.test)):
        require_ours(folder, split)
        if not overwrite:
            require_same(folder, split, rows_of)
    files = {"train": export_preferences(pairs, folder, form, as_text=text)}
    if splits.test is None:
        remove_split(folder, "test")
    else:
        files["test"] = export_preferences(splits.test, folder, form, as_text=text, split="test")
    rows = sum(each.height for each in (splits.train, splits.test) if each is not None)
    write_card(folder, data_set_head(files, rows), render_markdown(page))
    held_out = splits.test.height if splits.test is not None else 0
    of = f" of {run.name}" if run else ""
    of_test = f", {held_out} on held-out prompts in {files['test']}" if held_out else ""
    say(
        f"{counted(pairs.height, 'pair')}{of} in {files['train']}{of_test}; "
        f"datasets.load_dataset({str(folder)!r}) reads it"
    )
    say(*otherwise_in_words(pairs, folders(store), as_text=text))
    return [*(file.name for file in files.values()), CARD]
