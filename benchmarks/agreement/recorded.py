"""Recorded verdicts of people (PandaLM) and of judges (LLMBar) as tables `verdicts`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.ground.ids import digest_of
from prefopt_core.ground.tables import TABLES, check_table

PEOPLE = ("annotator1", "annotator2", "annotator3")
GOLD = "gold"


def people(data: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The verdicts of three people on the same pairs, and the responses.

    Which response they saw first is not recorded. Texts that several models wrote stay apart, so
    that a pair that was judged twice is two pairs.

    Args:
        data: Directory of pairs_pandalm.parquet.

    Returns:
        Table `verdicts`; candidate_id, response.
    """
    pairs = pl.read_parquet(data / "pairs_pandalm.parquet", glob=False)
    rows = [
        _verdict(row["prompt_id"], _shown(row, "model_a", "model_b"), "people", who, row[who])
        for row in pairs.iter_rows(named=True)
        for who in PEOPLE
    ]
    texts = [
        (f"{row['prompt_id']}/{row[f'model_{side}']}", row[f"response_{side}"])
        for row in pairs.iter_rows(named=True)
        for side in "ab"
    ]
    return _tables(rows, texts)


def repeated(data: Path, who: str) -> tuple[int, int]:
    """Pairs whose two texts one person judged before, as of other models: (said the same, all)."""
    pairs = pl.read_parquet(data / "pairs_pandalm.parquet", glob=False)
    texts = pairs.group_by("prompt_id", "response_a", "response_b", maintain_order=True)
    twice = texts.agg(pl.col(who)).filter(pl.col(who).list.len() > 1)[who].to_list()
    again = [(first, later) for first, *others in twice for later in others]
    return sum(first == later for first, later in again), len(again)


def judges(data: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The verdicts of judges on pairs in both orders, and what is right, as of annotator `GOLD`.

    An answer that the authors could not parse is invalid.

    Args:
        data: Directory of judge_llmbar.parquet.

    Returns:
        Table `verdicts`; candidate_id, response.
    """
    recorded = pl.read_parquet(data / "judge_llmbar.parquet", glob=False)
    rows: list[dict[str, Any]] = []
    texts: list[tuple[str, str]] = []
    for row in recorded.unique("prompt_id", maintain_order=True).iter_rows(named=True):
        shown = _numbered(row)
        rows.append(_verdict(row["prompt_id"], shown, GOLD, "", row["label"]))
        texts += zip(shown, (row["output_1"], row["output_2"]), strict=True)
    for row in recorded.iter_rows(named=True):
        rows += _both_orders(row)
    return _tables(rows, texts)


def _both_orders(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    who, shown = f"{row['judge']} {row['style']}", _numbered(row)
    yield _verdict(row["prompt_id"], shown, who, "", row["winner"])
    # The authors' winner of the swapped order is a number in the first order.
    swapped = row["winner_swapped"]
    winner = None if swapped is None else 3 - swapped
    yield _verdict(row["prompt_id"], shown[::-1], who, "", winner)


def adversarial(data: Path) -> set[str]:
    """Prompts of LLMBar whose worse response was made to look better."""
    recorded = pl.read_parquet(data / "judge_llmbar.parquet", glob=False)
    return set(recorded.filter(pl.col("subset").str.contains("Adversarial"))["prompt_id"])


def _shown(row: dict[str, Any], *columns: str) -> tuple[str, ...]:
    return tuple(f"{row['prompt_id']}/{row[column]}" for column in columns)


def _numbered(row: dict[str, Any]) -> tuple[str, ...]:
    return f"{row['prompt_id']}/1", f"{row['prompt_id']}/2"


def _verdict(
    prompt_id: str, shown: tuple[str, ...], annotator: str, by: str, winner: int | None
) -> dict[str, Any]:
    """A row of `verdicts`; `winner` is 1 or 2 of those shown, 0 for a tie, None if invalid."""
    states = {None: "invalid", 0: "tie"}
    return {
        "question_id": digest_of(prompt_id, *shown),
        "prompt_id": prompt_id,
        "responses": list(shown),
        "annotator": annotator,
        "by": by,
        "state": states.get(winner, "given"),
        "preference": float(winner == 1) if winner else None,
        "why": "",
    }


def _tables(
    rows: list[dict[str, Any]], texts: list[tuple[str, str]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    verdicts = pl.DataFrame(rows, schema=TABLES["verdicts"].columns)
    candidates = pl.DataFrame(texts, schema=["candidate_id", "response"], orient="row")
    return check_table("verdicts", verdicts), candidates.unique("candidate_id", maintain_order=True)
