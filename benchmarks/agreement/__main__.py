"""How far people and judges agree, and what gives judges away, on recorded verdicts.

Reads pairs_pandalm.parquet and judge_llmbar.parquet in --data; writes the tables of
docs/agreement.md below its marker, and its plot. The text above the marker is by hand and stays.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from benchmarks.agreement.figures import (
    Judged,
    against_gold,
    difference_in_right,
    joined,
    right_in_one_order,
)
from benchmarks.agreement.plots import plot_judges
from benchmarks.agreement.recorded import GOLD, PEOPLE, adversarial, judges, people, repeated
from benchmarks.printing import table
from prefopt_core.labels.aggregation import Method, aggregate, labels_of, pair_errors
from prefopt_core.labels.agreement import (
    Rated,
    between,
    fleiss_kappa,
    krippendorffs_alpha,
    observed,
    pairs_rated,
)
from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.estimates import Estimate
from prefopt_core.labels.honesty import honesty
from prefopt_core.reports.honesty import cell

MARKER = "<!-- Below this line: made by `python -m benchmarks.agreement`. -->"
_METHODS: tuple[Method, ...] = ("majority", "dawid_skene")


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of the verdicts")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="directory of the page")
    arguments = parser.parse_args()
    plot = arguments.out / "agreement-judges.png"
    sections = [*of_people(arguments.data), *of_judges(arguments.data, plot)]
    page = arguments.out / "agreement.md"
    by_hand = page.read_text(encoding="utf-8").partition(MARKER)[0] if page.exists() else ""
    by_hand = by_hand or "# How far people and judges agree\n\n"
    body = "\n\n".join(sections)
    page.write_text(f"{by_hand}{MARKER}\n\n{body}\n", encoding="utf-8")


def of_people(data: Path) -> Iterator[str]:
    """Three people on the same pairs, a section or paragraph each."""
    verdicts, texts = people(data)
    compared = comparisons(verdicts)
    rated = pairs_rated(compared)
    yield "## Three people on the same pairs (PandaLM)"
    yield table(
        ["", "ties", "prefers the longer", "the clearly longer"],
        [
            [own.rater, _said(own.undecided), _said(own.longer), _said(own.clearly_longer)]
            for own in honesty(verdicts, texts)
        ],
    )
    yield table(["", "say the same", "κ", "Krippendorff's α"], list(_agreement(rated)))
    yield table(["pairs", "n"], list(_labels(compared, rated)))
    again = [repeated(data, who) for who in PEOPLE]
    counts = ", ".join(f"{same} of {asked}" for same, asked in again)
    yield (
        "Pairs whose two texts stand in the data again, as those of other models, got the same "
        f"verdict {counts} times."
    )


def _agreement(rated: Rated) -> Iterator[list[str]]:
    """All three by Fleiss' κ and α, then every two by Cohen's κ."""
    overall = observed(rated), fleiss_kappa(rated), krippendorffs_alpha(rated)
    yield ["all three", _said(overall[0]), *(_said(each, "{:.2f}") for each in overall[1:])]
    for two in between(rated):
        alpha = krippendorffs_alpha(rated.of(two.one, two.other))
        names = f"{two.one} and {two.other}".replace("people: ", "")
        yield [names, _said(two.observed), _said(two.kappa, "{:.2f}"), _said(alpha, "{:.2f}")]


def _labels(compared: pl.DataFrame, rated: Rated) -> Iterator[list[str]]:
    """How many pairs have which majority, and what Dawid and Skene make of them."""
    majority, weighed = (aggregate(compared, how) for how in _METHODS)
    votes = (majority["confidence"] * majority["n"]).round().value_counts().rows()
    words = {3: "all three say the same", 2: "two say the same", 1: "each says something else"}
    for agree, count in sorted(votes, reverse=True):
        yield [words[int(agree)], str(count)]
    other = int((majority["said"] != weighed["said"]).sum())
    yield ["Dawid–Skene gives another label than the majority", str(other)]
    accuracy = pair_errors(labels_of(rated)).accuracy()
    percent = ", ".join(f"{100 * one:.0f}" for one in accuracy)
    yield ["right by Dawid–Skene, annotators 1 to 3, in %", percent]


def of_judges(data: Path, plot: Path) -> Iterator[str]:
    """Judges against what is right, and their labels made one."""
    verdicts, texts = judges(data)
    habits = {own.rater: own for own in honesty(verdicts, texts)}
    gold = habits.pop(GOLD)
    judged = [against_gold(verdicts, own) for own in habits.values()]
    judged.sort(key=lambda one: -one.right.value)
    yield "## Six judges in two styles against what is right (LLMBar)"
    plot_judges(judged, gold, plot)
    yield table(
        ["judge", "right, in one order", "flips", "right, of labels that are no tie", "κ"],
        [_row(one) for one in judged],
    )
    yield table(
        ["judge", "prefers the first shown", "the longer", "the clearly longer", "invalid"],
        [
            [
                own.rater,
                *map(_said, (own.first, own.longer, own.clearly_longer, own.states["invalid"])),
            ]
            for own in [*(one.habits for one in judged), gold]
        ],
    )
    yield from _parts_of_llmbar(verdicts, adversarial(data), [one.habits.rater for one in judged])


def _row(one: Judged) -> list[str]:
    shares = one.right, one.habits.flips, one.right_if_decided
    return [one.habits.rater, *map(_said, shares), _said(one.kappa, "{:z.2f}")]


def _parts_of_llmbar(verdicts: pl.DataFrame, hard: set[str], names: Sequence[str]) -> Iterator[str]:
    """Single judges and joined labels, apart for plain pairs and those made to mislead."""
    misleads = pl.col("prompt_id").is_in(list(hard))
    parts = [verdicts.filter(~misleads), verdicts.filter(misleads), verdicts]
    yield table(
        ["judge, in one order", "natural pairs", "adversarial pairs"],
        [[name, *(_said(right_in_one_order(part, name)) for part in parts[:2])] for name in names],
    )
    yield table(
        ["with reasoning (CoT) minus without (Vanilla)", "share right"],
        [
            [
                name,
                _said(difference_in_right(verdicts, f"{name} CoT", f"{name} Vanilla"), "{:+.3f}"),
            ]
            for name in sorted({name.rpartition(" ")[0] for name in names})
        ],
    )
    yield "## One label of all judges"
    rows = [[f"best judge alone ({names[0]})"], ["majority of all"], ["Dawid–Skene of all"]]
    for part in parts:
        alone = joined(part, names[:1], "majority")
        rows[0].append(_said(alone.right))
        for row, how in zip(rows[1:], _METHODS, strict=True):
            made = joined(part, names, how)
            row.append(f"{_said(made.right)}; {100 * made.sure:.0f} % sure")
    yield table(["label from both orders", "natural", "adversarial", "all"], rows)


def _said(figure: Estimate, form: str = "share") -> str:
    return str(cell(figure, form))


if __name__ == "__main__":
    main()
