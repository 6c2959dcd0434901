"""Pairs as the rows that a model reads: a prompt once, in front of both of its responses.

A row holds one tree or several: the prompt of a pair, its chosen and its rejected response, one
behind another. Tokens see those of their own prompt and response alone and have the positions they
would have there, so the hidden states are those of two sequences apart, for P + C + R tokens in
place of 2 · (P + max(C, R)); and what a row lacks in length other pairs of the batch fill.

Notation: B pairs; P, C and R tokens in a prompt, its chosen and its rejected response; S rows of T
tokens; N tokens of all responses; H the width of the model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Inputs = dict[str, torch.Tensor]
"""A collated batch.

* input_ids, position_ids (S, T); tree (S, T): number of a token's tree, -1 for padding; branch
  (S, T): 0 in a prompt, else the number of its response there.
* places (N,): where among S · T stand the hidden states that predict response tokens; labels (N,):
  these tokens, those of B chosen responses before those of B rejected ones.
* lengths (2B,): tokens of each response. All other fields are (B,).
"""

SIDES = ("chosen", "rejected")
OF_PAIRS = ("ref_chosen_logps", "ref_rejected_logps", "doubtful", "confidence", "row")
ATTENTION = 2
"""An operation of attention takes so many times as long as one of a product of weights."""


@dataclass(frozen=True)
class Tree:
    """A prompt and responses to it, (T,) each but for `responses`.

    The model reads the last token of a prompt once for each response, as its first is predicted
    there, and the last token of none, as nothing is.

    Attributes:
        tokens: Token ids.
        positions: Of each token in its own sequence.
        branches: 0 in the prompt, else the number of the response.
        responses: Side → where its tokens are predicted.
    """

    tokens: list[int]
    positions: list[int]
    branches: list[int]
    responses: dict[str, range]


def collate(
    examples: Sequence[Mapping[str, Any]], *, pad_token_id: int, width: float | None
) -> Inputs:
    """The batch of B pairs.

    Args:
        examples: Each with prompt_ids, chosen_ids, rejected_ids, `OF_PAIRS`, and what else an
            objective is told of each pair.
        pad_token_id: Fills the ends of rows.
        width: H, by which the number of rows is chosen; infinite: one row; None: each sequence has
            a row of its own.
    """
    groups = [SIDES] if width else [(side,) for side in SIDES]
    trees = [_tree(example, sides) for sides in groups for example in examples]
    lengths = [len(tree.tokens) for tree in trees]
    rows = _rows(lengths, width) if width else [[i] for i in range(len(trees))]
    batch, at = _table(trees, rows, pad_token_id)
    places = [
        range(at[i] + own.start, at[i] + own.stop)
        for side in SIDES
        for i, tree in enumerate(trees)
        if (own := tree.responses.get(side)) is not None
    ]
    labels = [example[f"{side}_ids"] for side in SIDES for example in examples]
    batch["places"] = torch.tensor([place for own in places for place in own])
    batch["labels"] = torch.tensor([token for own in labels for token in own])
    batch["lengths"] = torch.tensor([len(own) for own in labels])
    names = (*OF_PAIRS, *told_in(examples[0]))
    return batch | {name: torch.tensor([e[name] for e in examples]) for name in names}


def sealed(batch: Inputs) -> Inputs:
    """The batch with its floats as integers of the same bits.

    With DeepSpeed, the Trainer rounds every float of a batch to the model's type, as if it were an
    image: in bfloat16 a reference log-probability of -300 would be off by up to 1 nat.
    """
    return {k: v.view(torch.int32) if v.dtype == torch.float32 else v for k, v in batch.items()}


def opened(batch: Inputs) -> Inputs:
    """The batch as it was before it was `sealed`; all other integers have 64 bits."""
    return {k: v.view(torch.float32) if v.dtype == torch.int32 else v for k, v in batch.items()}


def told_in(columns: Iterable[str]) -> list[str]:
    """The names of what an objective is told of pairs, among the columns of their table."""
    return [name for name in columns if name not in OF_PAIRS and not name.endswith("_ids")]


def _tree(example: Mapping[str, Any], sides: Sequence[str]) -> Tree:
    *prompt, last = example["prompt_ids"]
    tree = Tree(list(prompt), list(range(len(prompt))), [0] * len(prompt), {})
    for number, side in enumerate(sides, start=1):
        response, start = [last, *example[f"{side}_ids"][:-1]], len(tree.tokens)
        tree.tokens.extend(response)
        tree.positions.extend(range(len(prompt), len(prompt) + len(response)))
        tree.branches.extend([number] * len(response))
        tree.responses[side] = range(start, len(tree.tokens))
    return tree


def _rows(lengths: Sequence[int], width: float) -> list[list[int]]:
    """Indices of trees by row: the cheapest way to fill 1, 2, … or B rows."""
    total, longest = sum(lengths), max(lengths)
    capacities = [max(longest, -(-total // count)) for count in range(1, len(lengths) + 1)]
    ways = (_filled(lengths, capacity) for capacity in dict.fromkeys(capacities))
    return min(ways, key=lambda rows: _cost(rows, lengths, width))


def _filled(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """First fit, longest first."""
    rows: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fits = (r for r in rows if sum(lengths[j] for j in r) + lengths[i] <= capacity)
        row = next(fits, None)
        if row is None:
            rows.append(row := [])
        row.append(i)
    return rows


def _cost(rows: Sequence[Sequence[int]], lengths: Sequence[int], width: float) -> float:
    """Operations of a layer, 24 H² and 4 H T for each of S · T tokens, in units of 4 H."""
    longest = max(sum(lengths[i] for i in row) for row in rows)
    return len(rows) * longest * (6 * width + ATTENTION * longest)


def _table(
    trees: Sequence[Tree], rows: Sequence[Sequence[int]], pad_token_id: int
) -> tuple[Inputs, dict[int, int]]:
    """The (S, T) fields, and where among S · T each tree begins."""
    length = max(sum(len(trees[i].tokens) for i in row) for row in rows)
    fills = {"input_ids": pad_token_id, "position_ids": 0, "tree": -1, "branch": 0}
    table = {name: torch.full((len(rows), length), fill) for name, fill in fills.items()}
    at: dict[int, int] = {}
    for number, row in enumerate(rows):
        start = 0
        for i in row:
            tree, at[i] = trees[i], number * length + start
            place = slice(start, start := start + len(tree.tokens))
            table["input_ids"][number, place] = torch.tensor(tree.tokens)
            table["position_ids"][number, place] = torch.tensor(tree.positions)
            table["branch"][number, place] = torch.tensor(tree.branches)
            table["tree"][number, place] = i
    return table, at


def summed(logps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of whole responses, (2B,), of those of their tokens, (N,)."""
    return torch.segment_reduce(logps, "sum", lengths=lengths, unsafe=True)
