"""What evaluators say of policies, as a table of their figures and what these mean."""

import polars as pl

from prefopt_core.reports.page import Cell, Estimate, Part, Table, Text

_SHARES = {
    "win_rate": "win rate",
    "discrete_win_rate": "games won",
    "length_controlled_win_rate": "win rate at equal length",
}
_POINTS = {"bradley_terry": "Elo above it"}
_NOTE = (
    "In brackets: 95 % bootstrap interval over prompts. A tie counts half. At equal length: what "
    "AlpacaEval 2's model says if responses were as long as the reference's. Elo: Bradley–Terry "
    "strength from all games that were judged; a run's own judge that compares judges each round "
    "beside the start and the round before."
)


def contest_parts(figures: pl.DataFrame) -> list[Part]:
    """A row for each policy, a column for each evaluator.

    Args:
        figures: As `evaluation.contest.evaluated` returns them.
    """
    rows = {(row["policy"], row["metric"]): row for row in figures.iter_rows(named=True)}
    metrics = figures["metric"].unique(maintain_order=True)
    table = Table(
        ["policy", "prompts", *({**_SHARES, **_POINTS}.get(name, name) for name in metrics)],
        [
            [policy, _prompts(rows, policy), *(_cell(rows.get((policy, m)), m) for m in metrics)]
            for policy in figures["policy"].unique(maintain_order=True)
        ],
    )
    return [table, Text(_NOTE)]


def _prompts(rows: dict[tuple[str, str], dict[str, float]], policy: str) -> str:
    return f"{min(int(row['n']) for (own, _), row in rows.items() if own == policy):,}"


def _cell(row: dict[str, float] | None, metric: str) -> Cell:
    if row is None:
        return "–"
    form, scale, unit = ("{:.1f}", 100, " %") if metric in _SHARES else ("{:.2f}", 1, "")
    form = "{:+.0f}" if metric in _POINTS else form
    value, low, high = (
        None if row[name] is None else form.format(scale * row[name])
        for name in ("value", "low", "high")
    )
    return f"{value}{unit}" if low is None else Estimate(f"{value}{unit}", f"[{low}, {high}]")
