"""Pages of runs and comparisons: written also when everything else came from the store."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.annotation.label_table import labels_of_others
from prefopt_core.evaluation.diagnostics import labels_bought
from prefopt_core.experiments.base import Experiment, Paid, slug
from prefopt_core.experiments.checks import check
from prefopt_core.experiments.facts import facts_of
from prefopt_core.experiments.lengths import unread_in
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.files import content_digest
from prefopt_core.ground.ids import last_text
from prefopt_core.ground.tables import rows_of
from prefopt_core.labels.account import Allowance, balance_of
from prefopt_core.labels.asked import Proposal, first_shards
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.honesty import honesty_parts
from prefopt_core.reports.labels import counted
from prefopt_core.reports.page import Notice, Page, Part, Text
from prefopt_core.reports.proposals import read_proposal
from prefopt_core.reports.render import render_html, render_markdown
from prefopt_core.reports.rounds import rounds_in_words
from prefopt_core.reports.run import round_page, run_page
from prefopt_core.reports.samples import Answers, before_and_after
from prefopt_core.reports.values import shortened
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.lineage import made_at
from prefopt_core.store.pages import put_page_of
from prefopt_core.store.runs import note
from prefopt_core.tracking.tracking import places
from tasks.session import current_store, doubts_before, leaves_pages, notice, planning
from tasks.stage import inside_flow_run

_EXAMPLES = 20


def report_round(
    config: Experiment,
    metrics: Sequence[Artifact],
    preferences: Artifact | None,
    proposal: Proposal[Artifact] | None = None,
) -> None:
    """Show the rounds so far in Prefect: one markdown report, and a table of pairs."""
    if planning() or not inside_flow_run():
        return
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    round_number = len(metrics) - 1
    store = current_store()
    figures = store.read_all(metrics)
    here = f"round {round_number}" if round_number else "start policy"
    title = f"{config.name}: {here}"
    seen, left_out = first_shards(proposal) if proposal else (None, [])
    page = round_page(figures, title, read_proposal(store, seen) if seen else None)
    create_markdown_artifact(
        render_markdown(replace(page, parts=[*page.parts, *map(Text, left_out)])),
        key=f"{config.name}-{slug(here)}",
        description=title,
    )
    if preferences is not None:
        pairs = store.read(preferences)
        create_table_artifact(
            _rows(pairs.head(_EXAMPLES)),
            key=f"{config.name}-round-{round_number}-pairs",
            description=f"{min(_EXAMPLES, pairs.height)} of {pairs.height:,} pairs of round "
            f"{round_number}; all of them: `prefopt show {preferences.digest[:12]}`",
        )


def report_labels(
    labels: Artifact, candidates: Artifact, title: str
) -> tuple[list[str], list[str]]:
    """Say how far labels can be trusted before anything is trained on them; in Prefect, too.

    `labels` is a table `verdicts`, `candidates` the table of what was asked about. Returns (that
    there are fewer than the round wanted, what else is doubtful about them), for the report, which
    says the latter of the labels of all rounds; nothing while planning.
    """
    if planning():
        return [], []
    verdicts = current_store().read(labels)
    fewer = list(_fewer_labels(labels, verdicts))
    parts = [*map(Notice, fewer), *honesty_parts(verdicts, _texts_of(verdicts, candidates))]
    doubtful = [part.text for part in parts if isinstance(part, Notice)]
    for text in doubtful:
        notice(text)
    if inside_flow_run():
        from prefect.artifacts import create_markdown_artifact

        page = render_markdown(Page(title, parts))
        create_markdown_artifact(page, key=slug(title), description=title)
    return fewer, doubtful[len(fewer) :]


def _fewer_labels(labels: Artifact, verdicts: pl.DataFrame) -> Iterator[str]:
    """That the budget ended before a round had its labels."""
    made = (m for m in current_store().manifests("annotate") if m.output == labels)
    inputs = next(made).inputs
    if limits := inputs.get("allowance"):
        _, _, bought = next(labels_bought(verdicts))
        money = "" if limits["max_cost"] is None else f", `max_cost: {limits['max_cost']:g}`"
        yield (
            f"The budget was used up (`budget: {limits['budget']}`{money}): the round goes on with "
            f"{counted(bought, 'label')} of at most {inputs['labels']}, and the others were not "
            "asked. Raise it, and the same command buys the rest."
        )


def _rows(pairs: pl.DataFrame) -> list[dict[str, object]]:
    return [
        {
            "source": row["source"],
            "margin": round(row["margin"], 3),
            **{
                side: shortened(last_text(row[side]), 80)
                for side in ("prompt", "chosen", "rejected")
            },
        }
        for row in pairs.iter_rows(named=True)
    ]


def write_report(
    flow: str,
    config: Experiment,
    metrics: Sequence[Artifact],
    preferences: Sequence[Artifact],
    *,
    kept: int,
    policy: Folder | None,
    held_out: Artifact | None = None,
    answers: tuple[Answers[Artifact], Answers[Artifact]] | None = None,
    proposal: Proposal[Artifact] | None = None,
    labelled: Sequence[tuple[Artifact, Artifact]] = (),
    warnings: Sequence[str] = (),
    of_labels: Sequence[str] = (),
) -> Path | None:
    """Write the run's HTML page into the store, and its results into its record; returns its path.

    `preferences` are the pairs of every round, `kept` is the round of the returned `policy`,
    `answers` are those of the start policy and of that one to the prompts `held_out`, `proposal` is
    the last round's selection, `labelled` are the labels of every round (`verdicts`) with what they
    are about (`candidates`), `warnings` are of pairs, `of_labels` of the labels of a round.
    """
    if not leaves_pages():
        return None
    assert config.name is not None
    store, settings = current_store(), config.model_dump(mode="json")
    figures, others = store.read_all(metrics), _labels_of_others(labelled, config)
    seen, left_out = first_shards(proposal) if proposal else (None, [])
    doubts = [*_doubts(config), *warnings, *unread_in(seen, config, store), *left_out]

    def page() -> str:
        parts = run_page(
            figures,
            store.read(preferences[-1]),
            config.as_yaml(flow),
            f"{config.name}: {flow}, seed {config.seed}",
            read_proposal(store, seen) if seen else None,
            kept,
            doubts,
            _trust(labelled, others),
            facts=facts_of([config], made_at(store, "evaluate", metrics[-1])),
            samples=_samples(held_out, answers),
        )
        return render_html(parts)

    made_of = {
        "flow": flow,
        "settings": settings,
        "metrics": metrics,
        "preferences": preferences[-1],
        "proposal": proposal and vars(proposal),
        "kept": kept,
        "held_out": held_out,
        "answers": [*map(vars, answers or ())],
        "doubts": doubts,
        "labelled": labelled,
        "others": others.write_ndjson() if others is not None else None,
        "by": content_digest(Path(__file__)),
    }
    path = put_page_of(store, f"{config.name}/report.html", made_of, page)
    note(
        store,
        config.name,
        metrics=tuple(metrics),
        preferences=tuple(preferences[: max(1, kept)]),
        policy=policy,
        kept=kept,
        warnings=tuple(dict.fromkeys([*doubts, *of_labels])),
        **_figures(figures, kept, config.allowance),
    )
    if inside_flow_run():
        from prefect.artifacts import create_markdown_artifact

        tracked = places(path.parent)
        told = [Text(f"{tracker}: {place}") for tracker, place in tracked.items()]
        parts = [Text(f"All of it: {path}"), *told, *rounds_in_words(figures, kept)]
        create_markdown_artifact(
            render_markdown(Page(f"{config.name}: result", parts)),
            key=f"{config.name}-result",
            description=f"What the run came to; also: `prefopt show {config.name}`",
        )
    return path


def _figures(metrics: pl.DataFrame, kept: int, allowance: Allowance | None) -> dict[str, Any]:
    """What the list of runs says of one."""
    won = metrics.filter(metric="win_rate", round=kept)["value"]
    cost = 0.0
    if allowance:
        with LabelStore.of(current_store()).connected() as connection:
            cost = balance_of(connection, allowance.account).cost
    labels = int(metrics.filter(metric="labels")["value"].sum())
    return {"win_rate": won[0] if len(won) else None, "labels": labels, "cost": cost}


Labelled = Sequence[tuple[Artifact, Artifact]]
"""Labels of each round (table `verdicts`), and the candidates that they are of."""


def _labels_of_others(labelled: Labelled, config: Experiment) -> pl.DataFrame | None:
    """What others than this run's annotator said of the same responses."""
    if not labelled or not isinstance(config, Paid):
        return None
    verdicts = current_store().read_all([labels for labels, _ in labelled])
    return labels_of_others(verdicts, config.annotation, LabelStore.of(current_store()))


def _samples(
    held_out: Artifact | None, answers: tuple[Answers[Artifact], Answers[Artifact]] | None
) -> list[Part]:
    if held_out is None or answers is None:
        return []
    read = current_store().read
    before, after = (Answers(read(each.responses), read(each.grades)) for each in answers)
    return before_and_after(read(held_out), before, after)


def _trust(labelled: Labelled, others: pl.DataFrame | None) -> list[Part]:
    if not labelled:
        return []
    read_all = current_store().read_all
    labels, candidates = zip(*labelled, strict=True)
    verdicts = read_all(labels)
    said = verdicts if others is None else pl.concat([verdicts, others])
    texts = [_texts_of(said, each) for each in candidates]
    return honesty_parts(verdicts, pl.concat(texts).unique("candidate_id"), others)


def _texts_of(verdicts: pl.DataFrame, candidates: Artifact) -> pl.DataFrame:
    """The responses that verdicts are of."""
    texts = current_store().scan(candidates).select("candidate_id", "response")
    return rows_of(texts, verdicts["responses"].explode())


def _doubts(config: Experiment) -> Sequence[str]:
    """What is doubtful about a config; a file that has gone since it was read is no matter now."""
    known = doubts_before()
    if known is not None:
        return known
    try:
        return check(config, LabelStore.of(current_store()))
    except PrefoptError:
        return []
