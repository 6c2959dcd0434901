"""What a run came to, as people read it: a table of rounds, plots, one HTML file."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Column:
    """One column of the table of rounds."""

    metric: str
    title: str
    form: str = "{:.2f}"
    unit: str = ""


COLUMNS = (
    Column("win_rate", "win rate", "{:.0f}", " %"),
    Column("gold_score", "gold score"),
    Column("labels", "labels", "{:.0f}"),
    Column("gold_pairs", "gold pairs", "{:.0f}"),
    Column("self_pairs", "self pairs", "{:.0f}"),
    Column("self_label_agreement", "self-labels right", "{:.0f}", " %"),
    Column("response_words", "words", "{:.1f}"),
)
_BLUE, _ORANGE, _GREY = "#1f6feb", "#d9730d", "#8b949e"


def note(metrics: pl.DataFrame) -> str:
    """What the table of rounds means; "" when nothing was graded."""
    if "gold_score" not in metrics["metric"]:
        return ""
    return (
        "Win rate: over the start policy, on held-out prompts, by the gold annotator; ties count "
        "half. In brackets: 95 % bootstrap interval over those prompts. Self-labels right: share "
        "of the policy's own preferences that the gold annotator shares."
    )


def table_of_rounds(metrics: pl.DataFrame) -> tuple[list[str], list[list[str]]]:
    """(header, rows) with one row per round; a figure with an interval shows it in brackets."""
    columns = [c for c in COLUMNS if c.metric in metrics["metric"]]
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


def markdown(metrics: pl.DataFrame, title: str) -> str:
    """The report of the rounds so far, for Prefect: well below its 100 KB."""
    header, rows = table_of_rounds(metrics)
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    plot = plot_rounds(metrics)
    image = f'\n\n<img src="{plot}" width="760" alt="figures by round">' if plot else ""
    return f"## {title}\n\n" + "\n".join(lines) + f"\n\n{note(metrics)}{image}\n"


def plot_rounds(metrics: pl.DataFrame) -> str:
    """Win rate, gold score and length by round, as a `data:` URL; "" when nothing was graded."""
    if "gold_score" not in metrics["metric"]:
        return ""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = (
        ("win_rate", "win rate over the start policy", _BLUE),
        ("gold_score", "mean gold score", _ORANGE),
        ("response_words", "words per response", _GREY),
    )
    figure, axes = pyplot.subplots(1, 3, figsize=(9.5, 2.7), layout="constrained")
    for axis, (metric, title, colour) in zip(axes, panels, strict=True):
        rows = metrics.filter(pl.col("metric") == metric).sort("round")
        value, low, high = (rows[name].to_numpy() for name in ("value", "low", "high"))
        axis.errorbar(
            rows["round"], value, yerr=[value - low, high - value],
            marker="o", markersize=5, capsize=3, color=colour,
        )  # fmt: skip
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("round (0 is the start)", fontsize=9)
        axis.set_xticks(sorted(set(metrics["round"])))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.3)
        if metric == "win_rate":
            axis.axhline(0.5, color=_GREY, linestyle="--", linewidth=1)
            axis.set_ylim(0, 1.05)
    file = io.BytesIO()
    # No date in the file: the same figures give the same bytes.
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


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
    metrics: pl.DataFrame, preferences: pl.DataFrame, config: str, title: str, examples: int = 5
) -> str:
    """One self-contained page: rounds, plots, examples of pairs, the config that made them."""
    header, rows = table_of_rounds(metrics)
    parts = [_html_table(header, rows)]
    parts.append(f"<p>{note(metrics)}</p>")
    if plot := plot_rounds(metrics):
        parts.append(f'<img src="{plot}" alt="figures by round">')
    parts.append(f"<h2>Pairs of the last round ({preferences.height:,})</h2>")
    parts.append(
        _html_table(
            ["source", "prompt", "chosen / rejected"], _examples(preferences, examples), raw=True
        )
    )
    parts.append(f"<h2>Config</h2><pre>{html.escape(config)}</pre>")
    return _PAGE.format(title=html.escape(title), body="\n".join(parts))


def _examples(preferences: pl.DataFrame, count: int) -> list[list[str]]:
    """Some of each source, so that the policy's own labels can be looked at beside paid ones."""
    rows = []
    some = preferences.group_by("source", maintain_order=True).head(count)
    for row in some.iter_rows(named=True):
        prompt, chosen, rejected = (
            html.escape(shortened(row[side][-1]["content"], 400))
            for side in ("prompt", "chosen", "rejected")
        )
        pair = f'<p class="chosen">{chosen}</p><p class="rejected">{rejected}</p>'
        sure = f", {row['confidence']:.2f} sure" if row["source"] == "self" else ""
        rows.append([f"{row['source']}{sure}", prompt, pair])
    return rows


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, raw: bool = False) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{c if raw else html.escape(c)}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def shortened(text: str, length: int) -> str:
    """A text on one line, cut to `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
