"""The losses a config can name: those of `losses.py` with their settings, as objectives.

An objective is made from β and a loss's own settings, `cdpo(0.1, label_smoothing=0.1)`, and maps B
pairs, `PairLogps`, to (B,) losses. What follows the `*` or `_: KW_ONLY` is what a config may set.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal

import numpy as np
from pydantic import Field

from prefopt_core import losses
from prefopt_core.arrays import Array, FloatArray
from prefopt_core.follower import worst_shares

if TYPE_CHECKING:
    import polars as pl

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Smoothing = Annotated[float, Field(ge=0, lt=0.5)]


@dataclass(frozen=True)
class PairLogps(Generic[Array]):
    """What a loss may know about B pairs; every field is (B,).

    Attributes:
        policy_chosen_logps: log π(y_w|x), summed over the tokens of the response, in nats.
        policy_rejected_logps: log π(y_l|x).
        reference_chosen_logps: log π_ref(y_w|x).
        reference_rejected_logps: log π_ref(y_l|x).
        chosen_lengths: Number of tokens of y_w, end of sequence included.
        rejected_lengths: Number of tokens of y_l.
        flagged: True where the label is held to be wrong.
        confidence: P(chosen better than rejected), as the pair's verdicts say.
        told: What an `Informed` objective is told beside that, by name.
    """

    policy_chosen_logps: Array
    policy_rejected_logps: Array
    reference_chosen_logps: Array
    reference_rejected_logps: Array
    chosen_lengths: Array
    rejected_lengths: Array
    flagged: Array
    confidence: Array
    told: Mapping[str, Array] = field(default_factory=dict)

    @property
    def sums(self) -> tuple[Array, Array, Array, Array]:
        """Log-probabilities of whole responses, in the order in which `losses.py` takes them."""
        return (
            self.policy_chosen_logps,
            self.policy_rejected_logps,
            self.reference_chosen_logps,
            self.reference_rejected_logps,
        )

    @property
    def means(self) -> tuple[Array, Array, Array, Array]:
        """The same, as means over the tokens of a response."""
        return (
            self.policy_chosen_logps / self.chosen_lengths,
            self.policy_rejected_logps / self.rejected_lengths,
            self.reference_chosen_logps / self.chosen_lengths,
            self.reference_rejected_logps / self.rejected_lengths,
        )


Objective = Callable[[PairLogps[Any]], Any]
"""(B,) pairs in, (B,) losses out."""


class Informed(ABC):
    """An objective that must know more of a pair than every other one does.

    It is worked out from all pairs together, once, before the first step.
    """

    @abstractmethod
    def tell(self, pairs: "pl.DataFrame") -> dict[str, FloatArray]:
        """What `PairLogps.told` has of n pairs, by name, (n,) each.

        A name "moved" marks, above 0, pairs whose label is held to be wrong: they are reported as
        flagged.

        Args:
            pairs: See `trl_dpo.train`.
        """


def dpo(beta: float) -> Objective:
    """Direct preference optimisation: every label counts in full (arXiv:2305.18290)."""
    return lambda pairs: losses.dpo(*pairs.sums, beta=beta)


def dpo_norm(beta: float) -> Objective:
    """DPO on means over tokens, so that length does not count: TRL's `sigmoid_norm`.

    Delta learning's loss (arXiv:2507.06187), at a β of 5 there.
    """
    return lambda pairs: losses.dpo(*pairs.means, beta=beta)


def cdpo(beta: float, *, label_smoothing: Smoothing = 0.1) -> Objective:
    """Conservative DPO: every label is wrong with the same probability.

    Args:
        beta: β of `training`.
        label_smoothing: ε, the assumed probability that a label is wrong; 0: `dpo`. The loss is
            least where σ(β·margin) = 1 - ε.
    """
    return lambda pairs: losses.cdpo(*pairs.sums, beta=beta, label_smoothing=label_smoothing)


def soft(beta: float) -> Objective:
    """DPO on soft labels: `cdpo` in which each pair has its own confidence, where it stops pushing.

    The confidence is what a pair's verdicts say: the judge's probability, or the share of several
    verdicts; 1 for scores that were paid for.
    """
    return lambda pairs: losses.cdpo(*pairs.sums, beta=beta, label_smoothing=1 - pairs.confidence)


def rdpo(beta: float, *, label_smoothing: Smoothing = 0.1) -> Objective:
    """Robust DPO: unbiased under labels flipped at random (arXiv:2403.00409).

    Args:
        beta: β of `training`.
        label_smoothing: ε, the assumed share of labels that were flipped; 0: `dpo`. Towards 0.5 the
            loss grows as 1 / (1 - 2ε).
    """
    return lambda pairs: losses.rdpo(*pairs.sums, beta=beta, label_smoothing=label_smoothing)


def ipo(beta: float) -> Objective:
    """Identity preference optimisation: a finite margin per token (arXiv:2310.12036)."""
    return lambda pairs: losses.ipo(*pairs.means, beta=beta)


def simpo(beta: float, *, target_margin: float = 0.5) -> Objective:
    """Simple preference optimisation: without a reference model (arXiv:2405.14734).

    Args:
        beta: β of `training`; 2 to 10 in the paper, since means per token are small.
        target_margin: By how much the chosen response's mean log-probability per token should
            exceed the rejected one's, in nats; γ/β of the paper. 0: none.
    """
    return lambda pairs: losses.simpo(*pairs.means[:2], beta=beta, target_margin=target_margin)


@dataclass(frozen=True)
class NoiseAware:
    """SPA's self-refinement: milder on self-made labels that look wrong (arXiv:2406.04412).

    Attributes:
        beta: β of DPO.
        alpha: α, the share of a flagged label that is turned round; 0.1 in the paper.
        noise_share: K, the share of doubtful pairs to flag; 0.1 in the paper.
        extrapolation: λ of de-coupled detection, or its schedule over the rounds of self-labelling
            (`TrainingConfig.for_round`); 0.5, 0.25, 0.125 in the paper. Above 0 each step costs a
            forward pass of the reference model; at 0 the policy's margins decide.
        warm_up: The share of steps at the start without flags; 0.2 in the paper.
        threshold: "running": from the last `window` margins of doubtful pairs, over all
            processes. "quantile": from all of them, measured when the warm-up ends and at the start
            of each later epoch, at the price of a pass over the data.
        window: Pairs in the running window; 50 in the paper's code.
        doubts: Which labels may be flagged: "self" those of the policy, as in the paper; "all"
            paid ones too, for an annotator that errs.
    """

    beta: float
    _: KW_ONLY
    alpha: Share = 0.1
    noise_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    extrapolation: Weight | tuple[Weight, ...] = (0.5, 0.25, 0.125)
    warm_up: Share = 0.2
    threshold: Literal["running", "quantile"] = "running"
    window: Annotated[int, Field(ge=2)] = 50
    doubts: Literal["self", "all"] = "self"

    def __call__(self, pairs: PairLogps[Array]) -> Array:
        """One loss per pair, (B,)."""
        return losses.noise_aware_dpo(*pairs.sums, pairs.flagged, beta=self.beta, alpha=self.alpha)


@dataclass(frozen=True)
class Sppo(Informed):
    """SPPO: how often each response wins, learned by regression (arXiv:2405.00675).

    Needs `pairing.win_rates: true`. A pair that was brought along, or that SPIN made, is of two
    responses: its win rates follow from its confidence.

    Attributes:
        beta: β of `training`; 0.001 in the paper.
    """

    beta: float

    def tell(self, pairs: "pl.DataFrame") -> dict[str, FloatArray]:
        """The win rates of chosen and rejected."""
        sure = pairs["confidence"]
        of_two = {"chosen_win_rate": (0.5 + sure) / 2, "rejected_win_rate": (1.5 - sure) / 2}
        return {
            name: (pairs[name].fill_null(own) if name in pairs.columns else own).to_numpy()
            for name, own in of_two.items()
        }

    def __call__(self, pairs: PairLogps[Array]) -> Array:
        """One loss per pair, (B,)."""
        rates = pairs.told["chosen_win_rate"], pairs.told["rejected_win_rate"]
        return losses.sppo(*pairs.sums, *rates, beta=self.beta)


def sppo_hard(beta: float) -> Objective:
    """SPPO where the chosen response always wins, the rejected one never: TRL's `sppo_hard`."""
    return lambda pairs: losses.sppo_hard(*pairs.sums, beta=beta)


@dataclass(frozen=True)
class Ssapo(Informed):
    """SSAPO: DPO against the worst margins that self-made labels may have had (arXiv:2502.18099).

    A label's margin is the judge's, the log-odds of its confidence. Those that were paid for are
    trusted.

    Attributes:
        beta: β of DPO.
        radius: ε, by how much self-made margins may be off on average, in log-odds; 0: `dpo`. Best
            in the paper was 0.01 in probability, which near ½ is 0.04 in log-odds.
        lowest: The margin to which they may fall, in log-odds; -1.6 is a probability of 1/6, where
            the first of the six tangents of the authors' code touches.
    """

    beta: float
    _: KW_ONLY
    radius: Weight = 0.04
    lowest: Annotated[float, Field(le=0)] = -1.6

    def tell(self, pairs: "pl.DataFrame") -> dict[str, FloatArray]:
        """The share of each pair that is moved, and by how much."""
        own = pairs["source"].to_numpy() == "self"
        sure = pairs["confidence"].to_numpy()
        with np.errstate(divide="ignore"):
            margins = np.where(own, np.log(sure) - np.log1p(-sure), np.inf)
        moved = np.zeros(len(pairs))
        moved[own] = worst_shares(margins[own], radius=self.radius, lowest=self.lowest)
        return {"moved": moved, "shift": np.where(moved > 0, margins - self.lowest, 0.0)}

    def __call__(self, pairs: PairLogps[Array]) -> Array:
        """One loss per pair, (B,)."""
        told = pairs.told["moved"], pairs.told["shift"]
        return losses.ssapo(*pairs.sums, *told, beta=self.beta)


@dataclass(frozen=True)
class Cream(Informed):
    """CREAM: a label counts as far as this judge and the one before agree (arXiv:2410.12735).

    `cdpo` whose ε is 1 - C, with C the consistency of the two rankings of a prompt's responses.
    Paid labels, and those of a first judge, count in full, as in `dpo`.

    Attributes:
        beta: β of DPO; 0.1 in the authors' code.
        consistency: "average": C is the mean over the judged pairs that are trained on; "prompt":
            each has its own, and where the judges rank the other way round its label is turned.
    """

    beta: float
    _: KW_ONLY
    consistency: Literal["average", "prompt"] = "average"

    def tell(self, pairs: "pl.DataFrame") -> dict[str, FloatArray]:
        """C of each pair."""
        agreed = np.ones(len(pairs))
        if "consistency" in pairs.columns:
            known = pairs["consistency"].fill_null(np.nan).to_numpy()
            own = (pairs["source"] == "self").to_numpy()
            if np.isfinite(known[own]).any():
                mean = np.nanmean(known[own])
                each = np.where(np.isnan(known), mean, known)
                agreed[own] = each[own] if self.consistency == "prompt" else mean
        return {"agreed": agreed}

    def __call__(self, pairs: PairLogps[Array]) -> Array:
        """One loss per pair, (B,)."""
        return losses.cdpo(*pairs.sums, beta=self.beta, label_smoothing=1 - pairs.told["agreed"])
