"""Prompts of the test among those that are trained on."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.lint.findings import Finding, Known, of_rows
from prefopt_core.lint.texts import bare, conversation

_WORDS = 8
"""Words in a row that two prompts seldom share by chance."""
_SHARED = 0.8
"""Share of such runs of words that makes a prompt a copy of others."""
_RUNS = 6
"""The fewest runs of which that is said: prompts of 13 words, as in Brown et al. 2020, app. C."""


def leaked_prompt(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """A prompt is among the held-out ones, or says nearly the same as some of them."""
    if known.held_out is None or known.held_out.is_empty():
        return
    test = known.held_out.select(conversation("prompt").alias("text"))
    texts = test.select("text", bare("text").alias("bare"))
    exact = pl.col("prompt").is_in(texts["text"].unique().to_list())
    advice = "Remove them: on these prompts the test says nothing."
    yield from of_rows(pairs, exact, "have a prompt of the test", advice)
    others = pairs.filter(~exact)
    near = others.select("prompt_bare").to_series().is_in(texts["bare"].unique().to_list())
    copies = near.to_numpy() | _copies(others["prompt_bare"], texts["bare"])
    yield from of_rows(
        pairs,
        pl.col("row").is_in(others.filter(pl.Series(copies))["row"].to_list()),
        "have a prompt that is nearly one of the test: but for case, white space or punctuation, "
        f"or by {100 * _SHARED:.0f} % of its runs of {_WORDS} words",
        advice,
    )


def _copies(texts: pl.Series, test: pl.Series) -> npt.NDArray[np.bool_]:
    """(n,) whether nearly all runs of `_WORDS` words of a text stand in the texts of `test`."""
    of, runs = _runs_of_words(texts)
    shared = np.isin(runs, _runs_of_words(test)[1])
    total = np.bincount(of, minlength=len(texts))
    found = np.bincount(of, weights=shared, minlength=len(texts))
    return (total >= _RUNS) & (found >= _SHARED * total)


def _runs_of_words(texts: pl.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Of every run of words: the number of its text, and a digest (sums wrap around)."""
    words = (
        texts.alias("word")
        .to_frame()
        .with_row_index("of")
        .with_columns(pl.col("word").str.split(" "))
        .explode("word")
    )
    of = words["of"].to_numpy().astype(np.int64)
    digests = words["word"].hash(seed=0).to_numpy()
    count = max(0, len(of) - _WORDS + 1)
    sums = np.zeros(count, np.uint64)
    factor = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying loses nothing
    for place in range(_WORDS):
        sums = sums * factor + digests[place : place + count]
    whole = of[:count] == of[_WORDS - 1 :][:count]
    return of[:count][whole], sums[whole]
