"""Several policies as one judge: the mean of their log-probabilities."""

from collections.abc import Sequence

import polars as pl


def mean_logps(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The mean over models of the summed log-probability of each response.

    β·(mean of log π_i - log π_0) is the mean of the policies' implicit rewards, so a judge by these
    is their ensemble.

    Args:
        tables: Tables `logps` of the same responses, one a model.

    Returns:
        Table `logps`, in the order of the first.
    """
    every = pl.concat(tables).group_by("candidate_id", maintain_order=True)
    return every.agg(pl.col("logps").mean())
