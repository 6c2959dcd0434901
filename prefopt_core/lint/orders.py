"""What several pairs say together: repeated ones, contradictions and cycles."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from prefopt_core.lint.findings import Finding, Known, of_rows
from prefopt_core.lint.texts import bare

_TURNED = {"chosen_id": "rejected_id", "rejected_id": "chosen_id"}


def repeated_pair(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """The same pair by the same annotator again, but for case, white space and punctuation."""
    said = pl.struct("annotator", "prompt_id", "chosen_bare", "rejected_bare")
    yield from of_rows(
        pairs,
        ~said.is_first_distinct(),
        "repeat another one",
        "Remove them, or they count twice.",
    )


def repeated_prompt(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """The same prompt as another one but for case, white space and punctuation."""
    prompts = pairs.unique("prompt_id", keep="first", maintain_order=True).with_columns(
        bare("whole").alias("whole_bare")
    )
    again = prompts.filter(~pl.col("whole_bare").is_first_distinct())["row"].to_list()
    if again:
        yield Finding(
            f"{len(again)} of {prompts.height} prompts are another one but for case, white space "
            "or punctuation",
            "Write them alike: as different prompts they may stand on both sides of a division.",
            len(again),
            prompts.height,
            tuple(again),
        )


def contradiction(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """The same two responses to a prompt, each the chosen one of a pair."""
    yield from of_rows(
        pairs,
        pl.col("row").is_in(_contradictory(pairs)["row"].to_list()),
        "contradict another one: to the same prompt it has the same responses the other way round",
        "Keep the one that is meant; of several annotators, what most of them say.",
    )


def _contradictory(pairs: pl.DataFrame) -> pl.DataFrame:
    sides = pairs.filter(pl.col("chosen_id") != pl.col("rejected_id"))
    turned = sides.select("prompt_id", "chosen_id", "rejected_id").rename(_TURNED)
    return sides.join(turned, ["prompt_id", "chosen_id", "rejected_id"], how="semi")


def cycle(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """Pairs that go in a circle: a over b, b over c, c over a."""
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    edges = pairs.join(_contradictory(pairs).select("row"), "row", how="anti")
    # the same text to two prompts is two responses
    ends = pl.concat(
        edges.select(pl.struct("prompt_id", pl.col(side).alias("id"))).to_series()
        for side in ("chosen_id", "rejected_id")
    )
    if ends.is_empty():
        return
    numbers = (ends.rank("dense") - 1).to_numpy().astype(np.int64)
    chosen, rejected = np.split(numbers, 2)
    size = int(numbers.max()) + 1
    graph = coo_array((np.ones(len(chosen), np.int8), (chosen, rejected)), (size, size))
    # a strongly connected component of several responses is what cycles are made of
    _, part = connected_components(graph, directed=True, connection="strong")
    inside = edges.filter(pl.Series((part[chosen] == part[rejected]) & (chosen != rejected)))
    prompts = inside["prompt_id"].n_unique()
    yield from of_rows(
        pairs,
        pl.col("row").is_in(inside["row"].to_list()),
        f"go in circles, at {prompts} prompt{'s' * (prompts > 1)}: a over b, b over c, c over a",
        "Have these prompts judged again, or remove the pairs you trust least.",
    )
