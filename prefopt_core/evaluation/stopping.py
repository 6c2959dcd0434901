"""Early stopping: whether a run ends after a round, and which round's policy to keep."""

from typing import Literal

import polars as pl

Stop = Literal["never", "worse", "not_better"]


def should_stop(metrics: pl.DataFrame, rule: Stop) -> bool:
    """Whether the run ends with a round.

    Args:
        metrics: Table `metrics` of that round; without a win rate over the round before, the run
            goes on.
        rule: worse: the 95 % interval of that win rate lies below one half; not_better: it does
            not lie above.
    """
    rows = metrics.filter(pl.col("metric") == "win_rate_over_previous")
    if rule == "never" or rows.is_empty():
        return False
    low, high = rows.select("low", "high").row(0)
    return bool(high < 0.5 if rule == "worse" else low <= 0.5)


def best_round(metrics: pl.DataFrame) -> int:
    """The round with the highest mean gold score, the earlier one if two have it; else the last.

    Where responses were compared and not scored, it is that of the highest win rate over the start
    policy, whose own is ½.

    Args:
        metrics: Table `metrics` of all rounds.
    """
    columns = pl.col("round"), pl.col("value")
    found = metrics.filter(pl.col("metric") == "gold_score").select(columns)
    if found.is_empty():
        won = metrics.filter(pl.col("metric") == "win_rate").select(columns)
        start = pl.DataFrame({"round": [0], "value": [0.5]}, schema=won.schema)
        found = pl.concat([start, won]) if won.height else won
    best = found.sort("round").sort("value", descending=True, maintain_order=True)
    return int(best["round"][0] if best.height else metrics["round"].to_numpy().max())
