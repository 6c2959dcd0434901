"""Which judged responses make pairs, and what their length costs them (DICE, arXiv:2406.09760)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from prefopt_core.ground.tables import rows_of
from prefopt_core.labels.evidence import Evidence
from prefopt_core.pairing.settings import PairingConfig

Rule = Callable[[str, Sequence[float]], Sequence[tuple[int, int]]]
"""(prompt_id, scores) → (chosen, rejected) indices."""

_HALVINGS = 10
"""Of an interval whose ends differ by a factor of two: the penalty has three digits."""


class Judged:
    """The responses that a judge scored, as far as pairs are made of them.

    Attributes:
        evidence: What its verdicts say of those, prompt by prompt.
    """

    def __init__(
        self, evidence: Iterable[Evidence], candidates: pl.LazyFrame, config: PairingConfig
    ) -> None:
        """Leave out what `config` says.

        Args:
            evidence: What the verdicts of the judge say.
            candidates: Table `candidates`; it may be larger than memory.
            config: `finished`, `characters` and `fewest`.
        """
        every = list(evidence)
        ids = pl.Series([one for found in every for one in found.responses], dtype=pl.String)
        facts = candidates.select(
            "candidate_id",
            "finish_reason",
            pl.col("response").str.len_chars().alias("characters"),
        )
        rows = rows_of(facts, ids)
        least, most = config.characters or (0, np.inf)
        fit = rows.filter(
            pl.col("characters").is_between(least, most)
            & ((pl.col("finish_reason") != "length") | (not config.finished))
        )
        self._characters = dict(rows.select("candidate_id", "characters").iter_rows())
        self._fit = set(fit["candidate_id"])
        left = map(self._left, every)
        self.evidence = [found for found in left if len(found.responses) >= config.fewest]

    def _left(self, found: Evidence) -> Evidence:
        at = [i for i, response in enumerate(found.responses) if response in self._fit]
        known = found.probabilities
        return replace(
            found,
            responses=[found.responses[i] for i in at],
            scores=[found.scores[i] for i in at],
            probabilities=None if known is None else known[np.ix_(at, at)],
        )

    def penalised(self, alpha: float) -> Iterator[Evidence]:
        """The evidence with α·|y| subtracted from each score; |y| in characters."""
        for found in self.evidence:
            lengths = (self._characters[response] for response in found.responses)
            scores = [s - alpha * n for s, n in zip(found.scores, lengths, strict=True)]
            yield replace(found, scores=scores)

    def balancing(self, rule: Rule) -> float:
        """The penalty α >= 0 at which chosen and rejected responses are equally long on average.

            argmin_α |mean of |y_w| - |y_l||

        The authors' code walks a grid, 0, 0.001, …, until that grows. But of two responses the
        shorter one gains with α, so where the best meets the worst, or all meet all, the mean never
        rises; halving an interval finds where its sign changes, on whatever scale the scores are.

        Args:
            rule: Makes the pairs.

        Returns:
            α to three digits, on the side of the change where the mean is nearer to 0; 0 where
            chosen responses are not longer to begin with.
        """
        low, high = 0.0, 1e-6
        if self.longer(rule, low) <= 0:
            return low
        while self.longer(rule, high) > 0:
            low, high = high, 2 * high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.longer(rule, middle) > 0 else (low, middle)
        return min(high, low, key=lambda alpha: abs(self.longer(rule, alpha)))

    def longer(self, rule: Rule, alpha: float) -> float:
        """By how many characters chosen responses are longer at a penalty, the mean over pairs."""
        differences = [
            self._characters[found.responses[chosen]] - self._characters[found.responses[rejected]]
            for found in self.penalised(alpha)
            for chosen, rejected in rule(found.prompt_id, found.scores)
        ]
        return float(np.mean(differences)) if differences else 0.0
