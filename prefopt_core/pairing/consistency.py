"""How far two judges rank the same responses alike (CREAM, arXiv:2410.12735)."""

from collections.abc import Sequence

import polars as pl

from prefopt_core.labels.evidence import evidence_in


def consistency(scores: Sequence[float], earlier: Sequence[float]) -> float | None:
    """C = (τ + 1) / 2, with Kendall's τ of two rankings: the share of pairs in the same order.

    Args:
        scores: (k,) scores of one judge.
        earlier: (k,) of another, of the same responses.

    Returns:
        0 to 1; None if one of them tells no two responses apart. Ties as in τ-b.
    """
    from scipy.stats import kendalltau  # type: ignore[import-untyped]

    tau = float(kendalltau(scores, earlier).statistic)
    return None if tau != tau else (tau + 1) / 2


def with_consistency(
    pairs: pl.DataFrame, judgments: pl.DataFrame, earlier: pl.DataFrame
) -> pl.DataFrame:
    """Pairs with the consistency of the judge's ranking of their prompt and that of another judge.

    Args:
        pairs: Table `preferences`.
        judgments: Table `verdicts` of the judge whose labels the pairs of source `self` are.
        earlier: Table `verdicts` of the judge before, about the same responses.

    Returns:
        `pairs` with `consistency`; null for paid labels, and where it is None.
    """
    before = {
        found.prompt_id: dict(zip(found.responses, found.scores, strict=True))
        for found in evidence_in(earlier)
    }
    known: dict[str, float | None] = {}
    for found in evidence_in(judgments):
        own = dict(zip(found.responses, found.scores, strict=True))
        both = [one for one in own if one in before.get(found.prompt_id, {})]
        if len(both) > 1:
            ranked = ([scores[one] for one in both] for scores in (own, before[found.prompt_id]))
            known[found.prompt_id] = consistency(*ranked)
    rates = pl.DataFrame(
        {"prompt_id": [*known], "consistency": [*known.values()]},
        schema={"prompt_id": pl.String, "consistency": pl.Float64},
    )
    joined = pairs.join(rates, "prompt_id", how="left", maintain_order="left")
    judged = pl.when(pl.col("source") == "self").then("consistency")
    return joined.with_columns(judged.alias("consistency"))
