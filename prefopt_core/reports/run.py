"""What a run came to, as people read it: a table of rounds, plots, one HTML file."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from prefopt_core.labels.asked import Proposal
from prefopt_core.reports.advice import advise
from prefopt_core.reports.plots import plot_reliability, plot_rounds, plot_selection
from prefopt_core.reports.selection import (
    Choice,
    Inspection,
    caption,
    choices,
    inspect,
    prompt_ids,
    table_of_selection,
)
from prefopt_core.reports.values import shortened


@dataclass(frozen=True)
class Column:
    """One column of the table of rounds."""

    metric: str
    title: str
    form: str = "{:.2f}"
    unit: str = ""


ROUNDS = (
    Column("win_rate", "win rate", "{:.0f}", " %"),
    Column("gold_score", "gold score"),
    Column("labels", "labels", "{:.0f}"),
    Column("gold_pairs", "gold pairs", "{:.0f}"),
    Column("self_pairs", "self pairs", "{:.0f}"),
    Column("self_label_agreement", "self-labels right", "{:.0f}", " %"),
    Column("response_words", "words", "{:.1f}"),
)
DIAGNOSTICS = (
    Column("win_rate_over_previous", "win rate over the round before", "{:.0f}", " %"),
    Column("self_label_confidence", "policy sure of its labels", "{:.0f}", " %"),
    Column("self_label_agreement", "right", "{:.0f}", " %"),
    Column("calibration_error", "calibration error", "{:.0f}", " %"),
    Column("flagged", "pairs flagged", "{:.0f}", " %"),
    Column("flagged_wrong", "of them wrong", "{:.0f}", " %"),
    Column("threshold", "τ", "{:.3f}"),
    Column("gold_pair_words", "chosen − rejected words, gold", "{:+.1f}"),
    Column("self_pair_words", "self", "{:+.1f}"),
    Column("chosen_shift", "log-prob. of chosen", "{:+.1f}"),
    Column("rejected_shift", "of rejected", "{:+.1f}"),
    Column("kl_from_start", "KL from start", "{:.1f}"),
    Column("distinct_2", "distinct word pairs", "{:.0f}", " %"),
    Column("unfinished", "cut off", "{:.0f}", " %"),
)
"""What goes on behind the win rate; `note_on_diagnostics` says what each means."""
_EXAMPLES = 5  # prompts, and pairs of each source, that a page shows
_MOST_LEFT = 8  # responses to a prompt that are shown though they were not selected


def note(metrics: pl.DataFrame) -> str:
    """What the table of rounds means; "" when nothing was graded."""
    if "gold_score" not in metrics["metric"]:
        return ""
    return (
        "Win rate: over the start policy, on held-out prompts, by the gold annotator; ties count "
        "half. In brackets: 95 % bootstrap interval over those prompts. Self-labels right: share "
        "of the policy's own preferences that the gold annotator shares."
    )


def note_on_diagnostics() -> str:
    """What the diagnostics mean."""
    return (
        "Sure and right: how confident the policy was in its own labels and how often gold agrees; "
        "calibration error: the mean difference of the two over bins of confidence. Flagged: share "
        "of self-labelled pairs that noise detection held to be wrong after its warm-up, and how "
        "many of them gold finds wrong; τ: its threshold on margins. Words: length of chosen minus "
        "that of rejected. Log-probabilities: change by the round's training, in nats, over its "
        "last quarter. KL from start: of the held-out responses, in nats per response; without "
        "bias if they were sampled at temperature 1. Distinct word pairs fall as responses repeat "
        "each other."
    )


def table_of_rounds(
    metrics: pl.DataFrame, of: Sequence[Column] = ROUNDS
) -> tuple[list[str], list[list[str]]]:
    """(header, rows) with one row per round; a figure with an interval shows it in brackets."""
    columns = [c for c in of if c.metric in metrics["metric"]]
    cells = {(row["round"], row["metric"]): row for row in metrics.iter_rows(named=True)}
    rounds = sorted(set(metrics["round"]))
    header = ["round", *(column.title for column in columns)]
    rows = [[_name(r), *(_cell(cells.get((r, c.metric)), c) for c in columns)] for r in rounds]
    return header, rows


def _name(round_number: int) -> str:
    return str(round_number) if round_number else "start"


def _cell(row: dict[str, Any] | None, column: Column) -> str:
    if row is None:
        return "–"
    scale = 100 if column.unit else 1  # shares are shown in per cent
    value, low, high = (
        None if row[name] is None else column.form.format(scale * row[name])
        for name in ("value", "low", "high")
    )
    return f"{value}{column.unit}" + (f" [{low}, {high}]" if low else "")


def markdown(
    metrics: pl.DataFrame, title: str, chosen: Proposal[pl.DataFrame] | None = None
) -> str:
    """The report of the rounds so far, for Prefect: well below its 100 KB."""
    plot = plot_rounds(metrics)
    image = f'\n\n<img src="{plot}" width="760" alt="figures by round">' if plot else ""
    rounds = markdown_table(*table_of_rounds(metrics))
    warnings = "".join(f"* {html.escape(text)}\n" for text in advise(metrics))
    text = f"## {title}\n\n{rounds}\n\n{note(metrics)}\n\n{warnings}{image}\n"
    diagnostics = markdown_table(*table_of_rounds(metrics, DIAGNOSTICS))
    text += f"\n### Diagnostics\n\n{diagnostics}\n\n{note_on_diagnostics()}\n"
    if chosen is None:
        return text
    inspection = inspect(chosen)
    text += f"\n## What was selected\n\n{markdown_table(*table_of_selection(chosen, inspection))}"
    return text + "\n\n" + "\n\n".join(_plot_and_caption(chosen, inspection)) + "\n"


def _plot_and_caption(chosen: Proposal[pl.DataFrame], inspection: Inspection | None) -> list[str]:
    """As HTML, which Markdown may hold too."""
    if inspection is None:
        return ["Without embeddings nothing can be said of how much the responses are alike."]
    plot = plot_selection(inspection, choices(chosen, prompt_ids(chosen)[:_EXAMPLES]))
    alt = "the selected responses among all; objective and coverage by labels per prompt"
    return [f'<img src="{plot}" width="860" alt="{alt}">', caption(inspection)]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 62rem; margin: 2rem auto;
        padding: 0 1rem }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }}
th, td {{ border-bottom: 1px solid #d1d9e0; padding: .4rem .7rem; text-align: left;
          vertical-align: top }}
th {{ font-weight: 600 }}
pre {{ background: #f6f8fa; padding: 1rem; overflow-x: auto; font-size: 13px }}
.chosen {{ color: #116329 }} .rejected {{ color: #a40e26 }} img {{ max-width: 100% }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def html_report(
    metrics: pl.DataFrame,
    preferences: pl.DataFrame,
    config: str,
    title: str,
    chosen: Proposal[pl.DataFrame] | None = None,
    kept: int | None = None,
) -> str:
    """One self-contained page: rounds, plots, the last selection and its pairs, the config.

    `kept` is the round whose policy the run returned.
    """
    parts = [html_table(*table_of_rounds(metrics)), f"<p>{note(metrics)}</p>"]
    parts += [f"<p>{html.escape(text)}</p>" for text in [*verdict(metrics, kept), *advise(metrics)]]
    if plot := plot_rounds(metrics):
        parts.append(f'<img src="{plot}" alt="figures by round">')
    parts += ["<h2>Diagnostics</h2>", html_table(*table_of_rounds(metrics, DIAGNOSTICS))]
    if plot := plot_reliability(metrics):
        parts.append(f'<img src="{plot}" alt="how sure the policy was, and how often right">')
    parts.append(f"<p>{note_on_diagnostics()}</p>")
    if chosen is not None:
        parts += _selection(chosen)
    parts.append(f"<h2>Pairs of the last round ({preferences.height:,})</h2>")
    parts.append(
        html_table(["source", "prompt", "chosen / rejected"], _pairs(preferences), raw=True)
    )
    parts.append(f"<h2>Config</h2><pre>{html.escape(config)}</pre>")
    return html_page(title, parts)


def verdict(metrics: pl.DataFrame, kept: int | None) -> list[str]:
    """Which round's policy the run returned, where that is not the last one."""
    last = metrics["round"].max()
    if kept is None or kept == last:
        return []
    return [f"Kept: {f'round {kept}' if kept else 'the start policy'}, by its gold score."]


def selection_report(chosen: Proposal[pl.DataFrame], title: str) -> str:
    """One self-contained page on a selection that belongs to no run."""
    return html_page(title, _selection(chosen))


def html_page(title: str, parts: Sequence[str]) -> str:
    """One self-contained page."""
    return _PAGE.format(title=html.escape(title), body="\n".join(parts))


def _selection(chosen: Proposal[pl.DataFrame]) -> list[str]:
    inspection = inspect(chosen)
    parts = ["<h2>What was selected</h2>", html_table(*table_of_selection(chosen, inspection))]
    parts += [f"<p>{part}</p>" for part in _plot_and_caption(chosen, inspection)]
    for number, choice in enumerate(choices(chosen, prompt_ids(chosen)[:_EXAMPLES]), 1):
        parts.append(f"<h3>Prompt {number}</h3><p>{html.escape(shortened(choice.prompt, 400))}</p>")
        parts.append(html_table(*_responses(choice), raw=True))
    return parts


def _responses(choice: Choice) -> tuple[list[str], list[list[str]]]:
    """(header, rows): the selected in their order, then what was left, the least covered first."""
    left = [at for at in range(len(choice.responses)) if at not in choice.selected]
    nearest = None if choice.vectors is None else choice.nearest(choice.selected)
    if nearest is not None:
        left.sort(key=nearest.__getitem__)
    rows = []
    for rank, at in enumerate([*choice.selected, *left[:_MOST_LEFT]], 1):
        selected = rank <= len(choice.selected)
        name = f"<b>selected&nbsp;{rank}</b>" if selected else "left"
        near = "" if selected or nearest is None else f"{nearest[at]:.2f}"
        text = html.escape(shortened(choice.responses[at], 300))
        rows.append([name, f"{choice.counts[at]}×", near, text])
    if len(left) > _MOST_LEFT:
        rows.append(["left", "", "", f"… and {len(left) - _MOST_LEFT} more"])
    return ["", "sampled", "cosine to nearest selected", "response"], rows


def _pairs(preferences: pl.DataFrame) -> list[list[str]]:
    """Some of each source, so that the policy's own labels can be looked at beside paid ones."""
    rows = []
    some = preferences.group_by("source", maintain_order=True).head(_EXAMPLES)
    for row in some.iter_rows(named=True):
        prompt, chosen, rejected = (
            html.escape(shortened(row[side][-1]["content"], 400))
            for side in ("prompt", "chosen", "rejected")
        )
        pair = f'<p class="chosen">{chosen}</p><p class="rejected">{rejected}</p>'
        sure = f", {row['confidence']:.2f} sure" if row["source"] == "self" else ""
        rows.append([f"{row['source']}{sure}", prompt, pair])
    return rows


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, raw: bool = False) -> str:
    """A table in HTML; `raw` cells are HTML already."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{c if raw else html.escape(c)}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
