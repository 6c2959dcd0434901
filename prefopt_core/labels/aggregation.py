"""One label of several verdicts on the same pair: by majority, or weighing who errs how.

Notation: N items, R raters, C classes; T the class of an item, p (C,) how frequent each is, and
π^r (C, C) with π^r_jl = P(rater r says l | T = j).

Source: Dawid and Skene 1979, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM
Algorithm", Applied Statistics 28(1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.arrays import FloatArray
from prefopt_core.labels.agreement import Rated, pairs_rated
from prefopt_core.labels.comparisons import SAID

Method = Literal["majority", "dawid_skene"]

_ITERATIONS = 1000
_CONVERGED = 1e-8
_TINY = 1e-300
"""In place of 0 in a logarithm."""
_TURNED = [SAID.index(said) for said in ("second", "first", "tie", "both_bad")]
"""What is said of a pair when its responses change places."""


@dataclass(frozen=True)
class Errors:
    """What Dawid and Skene's model finds.

    Attributes:
        posterior: (N, C) P(T = j | all that is said of the item).
        classes: (C,) p.
        confusion: (R, C, C) π; a row of zeros where no item is held to be of that class.
    """

    posterior: FloatArray
    classes: FloatArray
    confusion: FloatArray

    def accuracy(self) -> FloatArray:
        """(R,) P(rater says T), by the model: Σ_j p_j π^r_jj."""
        return np.einsum("j,rjj->r", self.classes, self.confusion)


def votes(labels: npt.NDArray[np.intp], classes: int) -> FloatArray:
    """How many raters say each class of each item.

    Args:
        labels: (N, R) classes from 0; -1 where a rater says nothing.
        classes: C.

    Returns:
        (N, C).

    >>> votes(np.array([[0, 1, 1], [-1, 0, -1]]), 2)
    array([[1., 2.],
           [1., 0.]])
    """
    return (labels[:, :, None] == np.arange(classes)).sum(axis=1).astype(np.float64)


def dawid_skene(
    labels: npt.NDArray[np.intp], classes: int, turned: Sequence[int] | None = None
) -> Errors:
    """Fit who errs how, and so what is true, by expectation maximisation from the votes.

    From T's distribution, p and π are shares; from these, P(T = j) ∝ p_j Π_r π^r_{j, said by r}.

    Args:
        labels: (N, R) classes from 0; -1 where a rater says nothing. Each item has a label.
        classes: C.
        turned: For each class what it is called when an item is turned round, if that means
            nothing: then a class and its other name are equally frequent and confused alike.

    Returns:
        The fit when no posterior changes by more than 1e-8, or after 1000 steps.
    """
    # Items of which the same is said have the same posterior: few kinds stand for many items.
    kinds, kind, often = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    said = (kinds[:, :, None] == np.arange(classes)).astype(np.float64)  # (kinds, R, C)
    posterior = votes(kinds, classes)
    posterior /= posterior.sum(axis=1, keepdims=True)
    for _ in range(_ITERATIONS):
        shares = often @ posterior / len(labels)
        confusion = np.einsum("n,nj,nrl->rjl", often, posterior, said, optimize=True)
        if turned is not None:
            shares = (shares + shares[turned]) / 2
            confusion = confusion + confusion[:, turned][:, :, turned]
        confusion /= np.maximum(confusion.sum(axis=2, keepdims=True), _TINY)
        likelihood = np.log(np.maximum(shares, _TINY)) + np.einsum(
            "nrl,rjl->nj", said, np.log(np.maximum(confusion, _TINY))
        )
        before = posterior
        posterior = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        if np.abs(posterior - before).max(initial=0.0) < _CONVERGED:
            break
    return Errors(posterior[kind], shares, confusion)


def pair_errors(labels: npt.NDArray[np.intp]) -> Errors:
    """Dawid and Skene's model of pairs, whatever response of a pair counts as its first.

    Which one has the smaller id means nothing, so half of the rates are to be learned.

    Args:
        labels: (N, R) codes of `SAID`; -1 where a rater says nothing.
    """
    return dawid_skene(labels, len(SAID), _TURNED)


def aggregate(comparisons: pl.DataFrame, method: Method = "majority") -> pl.DataFrame:
    """One label a pair, of all that its raters say.

    Args:
        comparisons: What `comparisons.comparisons` returns.
        method: majority: what most say, with their share as confidence, and a tie where as many
            say something else. dawid_skene: the likeliest, with its posterior as confidence.

    Returns:
        One row a pair: prompt_id, first, second, said (one of `SAID`), confidence, probability
        (P(first better than second), of what is neither half of it counts), n (raters).
    """
    key = ["prompt_id", "first", "second"]
    pairs = comparisons.group_by(key).len("n").sort(key)
    labels = labels_of(pairs_rated(comparisons))
    counted = votes(labels, len(SAID))
    beliefs = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    if method == "dawid_skene" and len(labels):
        beliefs = pair_errors(labels).posterior
    top = beliefs.max(axis=1, initial=0.0)
    leaders = np.isclose(beliefs, top[:, None])
    said = np.where(leaders.sum(axis=1) > 1, SAID.index("tie"), leaders.argmax(axis=1))
    return pairs.with_columns(
        pl.Series("said", [SAID[code] for code in said], pl.String),
        pl.Series("confidence", top, pl.Float64),
        pl.Series("probability", 0.5 + (beliefs[:, 0] - beliefs[:, 1]) / 2, pl.Float64),
    ).select(*key, "said", "confidence", "probability", "n")


def labels_of(rated: Rated) -> npt.NDArray[np.intp]:
    """(N, R) codes of `SAID`, -1 where a rater says nothing."""
    return np.nan_to_num(rated.ratings, nan=-1).astype(np.intp)
