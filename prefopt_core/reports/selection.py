"""What a selection took of every prompt's responses and what it left, measured.

Notation: N distinct responses to a prompt, k selected, S the selected set, u the (N, N) cosines,
c the counts, r the representativeness of each response.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.ground.vectors import unpack
from prefopt_core.labels.asked import Proposal
from prefopt_core.selection.aepo import redundancy, representativeness
from prefopt_core.selection.similarity import cosine

NEAR = 0.95  # cosine from which two responses say nearly the same
# A report is made on every run, so what it measures is bounded, whatever the size of the tables.
MOST_PROMPTS, MOST_RESPONSES = 64, 4096
BUDGETS = (2, 3, 4, 6, 8)  # values of k that the curves go through


@dataclass(frozen=True)
class Choice:
    """One prompt's N distinct responses, in the order of their samples.

    Attributes:
        prompt: Its last message.
        responses: N texts.
        counts: (N,) how often each was sampled.
        selected: S, in the order in which labels are spent.
        vectors: (N, d) embeddings, or None.
    """

    prompt: str
    responses: list[str]
    counts: npt.NDArray[np.intp]
    selected: list[int]
    vectors: npt.NDArray[np.float32] | None

    @cached_property
    def similarity(self) -> npt.NDArray[np.float64]:
        """The matrix u; only where there are embeddings."""
        assert self.vectors is not None
        return cosine(self.vectors)

    def nearest(self, subset: Sequence[int]) -> npt.NDArray[np.float64]:
        """(N,): the cosine of every response to the member of `subset` that is most like it."""
        return self.similarity[:, list(subset)].max(axis=1)


@dataclass(frozen=True)
class Figures:
    """How good a set of responses is; for `random` the expectation over all sets of that size.

    Attributes:
        representativeness: Mean cosine of a member to the other samples.
        redundancy: Mean cosine of two members.
        coverage: Mean cosine of a sample to the member most like it.
        radius: 1 - that cosine where it is lowest; None where it has no closed form.
        repeats: Share of the pairs of members with a cosine above `NEAR`.
    """

    representativeness: float
    redundancy: float
    coverage: float
    radius: float | None
    repeats: float

    @property
    def objective(self) -> float:
        """AEPO's f(S) at diversity weight 1."""
        return self.representativeness - self.redundancy


@dataclass(frozen=True)
class Inspection:
    """A selection beside others of the same responses, prompt by prompt.

    Attributes:
        prompts: How many prompts the selection has; those measured may be fewer.
        k: How many responses were selected, of the prompts that have as many.
        selected: Figures of what was selected, one for every measured prompt.
        chance: The same for as many responses drawn at random.
        by_k: k → (figures of AEPO's own choice, of a random one), one for every measured prompt.
    """

    prompts: int
    k: int
    selected: list[Figures]
    chance: list[Figures]
    by_k: dict[int, tuple[list[Figures], list[Figures]]]


def prompt_ids(chosen: Proposal[pl.DataFrame]) -> list[str]:
    """The prompts with at least two selected responses, in the order of the table."""
    sizes = chosen.selections.group_by("prompt_id", maintain_order=True).len()
    return sizes.filter(pl.col("len") > 1)["prompt_id"].to_list()


def inspect(chosen: Proposal[pl.DataFrame]) -> Inspection | None:
    """Measure a selection; None without embeddings or when nothing was selected.

    Where a prompt has fewer than k distinct responses, all of them are taken for its k, as in
    selection itself.
    """
    ids = prompt_ids(chosen)
    if chosen.embeddings is None or not ids:
        return None
    # Ids are digests: the smallest are a random draw that does not depend on the table's order.
    sample = _affordable(choices(chosen, sorted(ids)[:MOST_PROMPTS]))
    k = max(chosen.selections["rank"]) + 1
    largest = max(len(choice.responses) for choice in sample)
    budgets = sorted({k, *(k for k in BUDGETS if k <= largest)})
    grown = [grow(choice, budgets[-1]) for choice in sample]
    by_k = {
        k: (
            [figures_of(c, sets[min(k, max(sets))]) for c, sets in zip(sample, grown, strict=True)],
            [at_random(c, k) for c in sample],
        )
        for k in budgets
    }
    return Inspection(
        prompts=len(ids),
        k=k,
        selected=[figures_of(choice, choice.selected) for choice in sample],
        chance=[at_random(choice, len(choice.selected)) for choice in sample],
        by_k=by_k,
    )


def choices(chosen: Proposal[pl.DataFrame], ids: Sequence[str]) -> list[Choice]:
    """Collect what is known of some prompts, in their order."""
    wanted = pl.DataFrame({"prompt_id": ids}, schema={"prompt_id": pl.String})
    texts = chosen.prompts.join(wanted, "prompt_id", how="semi").select(
        "prompt_id", prompt=pl.col("prompt").list.last().struct.field("content")
    )
    rows = (
        chosen.candidates.join(texts, "prompt_id")
        .sort("sample")
        .group_by("prompt_id", "candidate_id", maintain_order=True)
        .agg(pl.col("prompt", "response").first(), pl.len().alias("count"))
        .join(
            chosen.selections.select("prompt_id", "candidate_id", "rank"),
            ["prompt_id", "candidate_id"],
            how="left",
            maintain_order="left",
        )
    )
    if chosen.embeddings is not None:
        rows = rows.join(chosen.embeddings, "candidate_id", how="left", maintain_order="left")
    groups = rows.partition_by("prompt_id", as_dict=True)
    return [_choice(groups[prompt_id,]) for prompt_id in ids]


def _choice(group: pl.DataFrame) -> Choice:
    ranked = group.with_row_index("at").drop_nulls("rank").sort("rank")
    return Choice(
        prompt=group["prompt"][0],
        responses=group["response"].to_list(),
        counts=group["count"].to_numpy().astype(np.intp),
        selected=ranked["at"].to_list(),
        vectors=unpack(group["vector"]) if "vector" in group.columns else None,
    )


def _affordable(sample: list[Choice]) -> list[Choice]:
    """As many prompts from the first on as hold `MOST_RESPONSES`, at least one."""
    held = np.cumsum([len(choice.responses) for choice in sample])
    return sample[: max(1, int((held <= MOST_RESPONSES).sum()))]


def grow(choice: Choice, most: int) -> dict[int, list[int]]:
    """The set of a high AEPO objective at λ = 1 for every k from 2 to `most` or N.

    The objective is the mean over pairs of w_ij = (r_i + r_j)/2 - u_ij. From every response and
    the best partner it has, sets grow by the response that adds most, and for each k the best set
    is kept: exact for k = 2, and as good to the eye as a search that takes a thousand times longer.
    """
    r = representativeness(choice.similarity, choice.counts)
    worth = (r[:, None] + r) / 2 - choice.similarity
    np.fill_diagonal(worth, -np.inf)  # nothing joins twice
    every = np.arange(len(r))
    sets, gain, total = every[:, None], worth, np.zeros(len(r))
    best = {}
    for k in range(2, min(most, len(r)) + 1):
        added = gain.argmax(axis=1)
        total = total + gain[every, added]
        sets, gain = np.column_stack([sets, added]), gain + worth[added]
        best[k] = sets[total.argmax()].tolist()
    return best


def figures_of(choice: Choice, subset: Sequence[int]) -> Figures:
    """Measure two or more of a prompt's responses."""
    u, members = choice.similarity, np.array(subset)
    nearest = choice.nearest(subset)
    pairs = u[members][:, members][np.triu_indices(len(members), 1)]
    return Figures(
        representativeness=float(representativeness(u, choice.counts)[members].mean()),
        redundancy=float(redundancy(u, members[None])[0]),
        coverage=float(np.average(nearest, weights=choice.counts)),
        radius=float(1 - nearest.min()),
        repeats=float((pairs > NEAR).mean()),
    )


def at_random(choice: Choice, k: int) -> Figures:
    """What k responses drawn at random from all N would come to, on average.

    A sample's m-th most similar response is the best of k drawn ones if it is among them and
    none of the m - 1 before it is, so with its cosines in descending order u_(1) … u_(N)

        E[coverage] = Σ_m u_(m) · C(N-m, k-1) / C(N, k)

    Every other figure is a mean over members or pairs, and its expectation the mean over all.
    The objective is 0 where no response repeats, whatever k.
    """
    u, n = choice.similarity, len(choice.responses)
    k = min(k, n)
    everything = figures_of(choice, range(n))
    best = np.array([comb(n - m, k - 1) / comb(n, k) for m in range(1, n + 1)])
    expected = -np.sort(-u, axis=1) @ best
    coverage = float(np.average(expected, weights=choice.counts))
    return Figures(
        everything.representativeness, everything.redundancy, coverage, None, everything.repeats
    )


def mean(figures: Iterable[Figures], name: str) -> float:
    """The mean of one figure over prompts."""
    return float(np.mean([getattr(figure, name) for figure in figures]))


_FIGURES = (
    ("representativeness", "representativeness: cosine of a selected response to the others"),
    ("redundancy", "redundancy: cosine of two selected responses"),
    ("objective", "objective: representativeness − redundancy"),
    ("coverage", "coverage: cosine of a response to the nearest selected one"),
    ("radius", "radius: 1 − that cosine, of the response farthest from all selected"),
    ("repeats", f"share of selected pairs that nearly repeat each other (cosine > {NEAR})"),
)


def table_of_selection(
    chosen: Proposal[pl.DataFrame], inspection: Inspection | None
) -> tuple[list[str], list[list[str]]]:
    """(header, rows): counts of all prompts, and figures of the measured ones beside chance."""
    samples, ids = chosen.candidates.height, chosen.candidates.select("prompt_id", "candidate_id")
    prompts, distinct = (ids[name].n_unique() for name in ids.columns)
    counts = {
        f"prompts with selected responses, of {prompts:,}": len(prompt_ids(chosen)),
        f"distinct responses, of {samples:,}": distinct,
        "selected responses": chosen.selections.height,
    }
    rows = [[words, f"{count:,}"] for words, count in counts.items()]
    gaps = chosen.selections.filter(pl.col("rank") == 0)["gap"].drop_nulls().to_numpy()
    if len(gaps):
        rows.append(["prompts whose set is proved the best", f"{(gaps == 0).sum():,}"])
        if gaps.any():
            rows.append(["what a better set could gain, at most", f"{gaps.max():.2g}"])
    if inspection is None:
        return ["", "this selection"], rows
    for name, words in _FIGURES:
        form = "{:.1%}" if name == "repeats" else "{:z.3f}"  # no -0.000
        chance = "–" if name == "radius" else form.format(mean(inspection.chance, name))
        rows.append([words, form.format(mean(inspection.selected, name)), chance])
    return ["", "this selection", "random, expected"], [[*row, ""][:3] for row in rows]


def caption(inspection: Inspection) -> str:
    """What the table and the picture of a selection show, and of which prompts."""
    measured = len(inspection.selected)
    of = "all" if measured == inspection.prompts else f"{measured}, drawn by their ids, of"
    return (
        f"Figures are means over prompts: {of} {inspection.prompts:,}. All compare responses by "
        "the cosine of their embeddings, whatever the selection compared them by, and count "
        "repeated samples. Random is the expectation over all sets of that size. Above: the "
        "distinct responses to the first prompts of the table, on the two principal axes of "
        "their embeddings. Below: AEPO is the set for each k that a quick search finds best by "
        "its objective at λ = 1, whatever made this selection."
    )
