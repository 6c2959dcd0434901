"""What labels will take, before any is bought: by the price set, and by those bought so far."""

from collections.abc import Iterator, Sequence
from statistics import fmean, median

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.labels.account import Allowance, Balance, balance_of
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import LabelStore


def expected(labels: int, config: AnnotationConfig, kept: LabelStore) -> list[str]:
    """What so many labels take, in words: money, tokens, people's time, where they are known.

    Money is the price that is set and the mean that a server was paid for this annotator's labels
    so far; tokens are their mean, too, and people's time their median.
    """
    known = [[label.verdict for label in own] for own in kept.known(identity(config)).values()]
    return list(_expected(labels, config.price, known))


def _expected(labels: int, price: float, known: Sequence[Sequence[Verdict]]) -> Iterator[str]:
    costs = _costs(known)
    tokens = [count for own in known if (count := _sum(_tokens(v) for v in own)) is not None]
    seconds = [v.seconds for own in known for v in own if v.seconds is not None]
    if each := _each(price, costs):
        yield f"{labels * each:,.2f} in money, {each:,.4g} each{_so_far(costs)}"
    if tokens:
        yield f"{labels * fmean(tokens):,.0f} tokens{_so_far(tokens)}"
    if seconds:
        hours = labels * median(seconds) / 3600
        yield f"{hours:,.1f} hours of people's time, {median(seconds):.0f} s each{_so_far(seconds)}"


def _costs(known: Sequence[Sequence[Verdict]]) -> list[float]:
    return [cost for own in known if (cost := _sum(v.usage.cost for v in own)) is not None]


def _each(price: float, costs: Sequence[float]) -> float:
    return price + (fmean(costs) if costs else 0.0)


def _sum(values: Iterator[float | None]) -> float | None:
    """The sum of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _tokens(verdict: Verdict) -> int | None:
    prompt, completion = verdict.usage.prompt_tokens, verdict.usage.completion_tokens
    return None if prompt is None or completion is None else prompt + completion


def _so_far(values: Sequence[float]) -> str:
    return f" (by the {len(values)} so far)" if values else ""


def left_of(allowance: Allowance, kept: LabelStore) -> str:
    """What is left of a run's budget, in words."""
    balance = _balance(allowance, kept)
    said = f"{max(0, allowance.labels - balance.labels)} of {allowance.labels} labels"
    if allowance.cost is not None:
        said += f" and {allowance.cost - balance.cost:,.2f} of {allowance.cost:,.2f} in money"
    if balance.awaited:
        said += f"; {_labels_wait(balance.awaited)} for people"
    if bought := balance.held_labels - balance.awaited:
        said += f"; {bought} are being bought"
    return f"left of the budget: {said}"


def _labels_wait(awaited: int) -> str:
    return "1 label waits" if awaited == 1 else f"{awaited} labels wait"


def too_little(
    labels: int, config: AnnotationConfig, allowance: Allowance, kept: LabelStore
) -> Iterator[str]:
    """Doubts whether what is left of a run's budget pays for so many labels.

    Yields:
        A sentence for labels, and one for money where the cost of a label is known.
    """
    balance = _balance(allowance, kept)
    left = max(0, allowance.labels - balance.labels)
    if labels > left:
        yield (
            f"Up to {labels} labels are to be bought, and {left} are left: a run that "
            "needs more ends there. Raise `budget`."
        )
    known = [[label.verdict for label in own] for own in kept.known(identity(config)).values()]
    each = _each(config.price, _costs(known))
    if allowance.cost is not None and labels * each > (money := allowance.cost - balance.cost):
        yield (
            f"The money that is left pays for about {max(0, int(money / each))} of {labels} "
            "labels. Raise `max_cost`, or lower `budget`."
        )


def _balance(allowance: Allowance, kept: LabelStore) -> Balance:
    if not kept.path.exists():
        return Balance(0, 0.0, 0, 0.0)
    with kept.connected() as connection:
        return balance_of(connection, allowance.account)
