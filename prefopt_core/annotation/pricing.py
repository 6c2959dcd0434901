"""What labels will take, before any is bought: by the price set, and by those bought so far.

Before the first label of an LLM judge its requests are written for a sample of questions: what it
reads is estimated by their size, what it writes is as long as it may be.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.judge import Conversation, Judge, fitting, text_in
from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.labels.account import Allowance, Balance, balance_of, end_holds_of_the_dead
from prefopt_core.labels.questions import Question, Verdict
from prefopt_core.labels.store import LabelStore
from prefopt_core.models.server.prices import Prices

TOKEN_BYTES = 4
"""Bytes of UTF-8 of a token, about, in English; fewer in most other languages."""

_IF_LONG = "if all answers are as long as `max_new_tokens` allows"


@dataclass(frozen=True)
class Sample:
    """Questions like those that will be asked.

    Attributes:
        questions: Two responses each; none if nothing is known of them yet.
        by: What they are made of, in words; or why there are none.
    """

    questions: Sequence[Question]
    by: str


def expected(
    labels: int, config: AnnotationConfig, kept: LabelStore, sample: Sample
) -> Iterator[str]:
    """What so many labels take, in words: money, requests, tokens, people's time.

    Money is the price that is set and the mean that a server was paid for this annotator's labels
    so far; tokens are their mean, too, and people's time their median. Before there are any, an
    LLM judge's requests are estimated by `sample`, and people's time by that of all in the store.

    Yields:
        A part of a sentence each; what is not known is said to be.
    """
    known = _known(config, kept)
    costs = _costs(known)
    tokens = [count for own in known if (count := _sum(_tokens(v) for v in own)) is not None]
    if not tokens:
        yield from of_requests(labels, config, sample)
    if each := config.price + (fmean(costs) if costs else 0.0):
        yield f"{labels * each:,.2f} in money, {each:,.4g} each{_so_far(costs)}"
    if tokens:
        yield f"{labels * fmean(tokens):,.0f} tokens{_so_far(tokens)}"
    yield from _time(labels, config, kept, known)


def _time(
    labels: int, config: AnnotationConfig, kept: LabelStore, known: Sequence[Sequence[Verdict]]
) -> Iterator[str]:
    """People's time, by their labels so far, else by those of other people."""
    seconds = [v.seconds for own in known for v in own if v.seconds is not None]
    by = _so_far(seconds)
    if not seconds and config.annotator == "people":
        seconds = kept.seconds()
        by = f" (by {len(seconds)} labels of other people or guidelines)"
    if seconds:
        hours = labels * median(seconds) / 3600
        yield f"{hours:,.1f} hours of people's time, {median(seconds):.0f} s each{by}"
    elif config.annotator == "people":
        yield "people's time is not known before their first label"
    if config.annotator == "people":
        yield "a question that is skipped counts, too"


@dataclass(frozen=True)
class _Requests:
    """Means of the requests for one label.

    Attributes:
        number: Orders in which a pair is shown.
        read: Tokens that the judge reads, about.
        written: Tokens that it may write, at most.
        cost: Of these; None if the prices are not known.
        priced_by: The table of prices; "" where the config has them.
    """

    number: int
    read: float
    written: int
    cost: float | None
    priced_by: str


def _requests(config: AnnotatorConfig, sample: Sample) -> _Requests | None:
    """What a label takes, if each is answered at once; None if nothing is known of the texts."""
    params = config.params
    judge = Judge(fitting(params["template"], params["ask"]), text_in(params["guidelines"]), 1)
    prices = Prices(
        params["price_prompt"],
        params["price_completion"],
        params["base_url"],
        params["model_name"],
    )
    asked = [
        judge.asked(Question(one.prompt_id, one.prompt, one.responses[: judge.wanted]))
        for one in sample.questions
    ]
    sizes = [prices.size(each.content) for each in asked if isinstance(each, Conversation)]
    if not sizes:
        return None
    number = _orders(config)
    read = number * fmean(sizes) / TOKEN_BYTES
    written = number * int(params["max_new_tokens"])
    cost = prices.cost(round(read), written)
    return _Requests(number, read, written, cost, ", ".join(prices.tables))


def asked_for_money(questions: int, config: AnnotatorConfig, sample: Sample) -> float:
    """What an LLM judge may be paid for verdicts that are no labels; 0 if it is not known."""
    one = _requests(config, sample)
    return questions * one.cost if one and one.cost else 0.0


def of_requests(labels: int, config: AnnotatorConfig, sample: Sample) -> Iterator[str]:
    """What so many verdicts of an LLM judge take, before there are any, a part of a sentence each.

    Of no other annotator anything is said.
    """
    if "price_prompt" not in config.params:
        return
    one = _requests(config, sample)
    if one is None:
        yield f"tokens and their cost are not known: {sample.by}"
        return
    again = ", again where one has no verdict" if config.params["attempts"] > 1 else ""
    yield f"{labels * one.number:,} requests{again}"
    read, written = _short(labels * one.read), _short(labels * one.written)
    yield f"≈ {read} tokens read (by {sample.by}, {TOKEN_BYTES} bytes each), ≤ {written} written"
    if one.cost is None:
        yield "no price is known, so none is counted"
    else:
        unit = f"US dollars by {one.priced_by}" if one.priced_by else "in money"
        yield f"≈ {labels * one.cost:,.2g} {unit}, {_IF_LONG}"


def _short(count: float) -> str:
    return f"{count / 1e6:,.2f} M" if count >= 1e5 else f"{count:,.0f}"


def _known(config: AnnotationConfig, kept: LabelStore) -> list[list[Verdict]]:
    """The verdicts of each label of this annotator that was asked for in all its orders."""
    return [
        [label.verdict for label in own]
        for own in kept.known(identity(config)).values()
        if len({label.responses for label in own}) >= _orders(config)
    ]


def _orders(config: AnnotatorConfig) -> int:
    """How often a question is asked of one annotator."""
    asking = config.asking
    return 2 if asking.ask == "compare" and asking.orders == "both" else 1


def _costs(known: Sequence[Sequence[Verdict]]) -> list[float]:
    return [cost for own in known if (cost := _sum(v.usage.cost for v in own)) is not None]


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
    if balance.labels:
        said += f" ({balance.labels} bought; what was found in the store costs nothing)"
    if allowance.cost is not None:
        said += f" and {allowance.cost - balance.cost:,.2f} of {allowance.cost:,.2f} in money"
    if balance.awaited:
        said += f"; {_labels_wait(balance.awaited)} for people"
    if balance.unanswered:
        said += f"; {balance.unanswered} asked when a run was killed, its answer not known"
    if bought := balance.held_labels - balance.awaited:
        said += f"; {bought} are being bought"
    return f"left of the budget: {said}"


def _labels_wait(awaited: int) -> str:
    return "1 label waits" if awaited == 1 else f"{awaited} labels wait"


def too_little(
    labels: int,
    config: AnnotationConfig,
    allowance: Allowance,
    kept: LabelStore,
    sample: Sample,
    others: float = 0.0,
) -> Iterator[str]:
    """Doubts whether what is left of a run's budget pays for so many labels, and what else it pays.

    Args:
        labels: To be bought, at most.
        config: The annotator.
        allowance: The budget.
        kept: The labels bought so far.
        sample: Questions like those that will be asked.
        others: What servers that judge and grade may be paid.

    Yields:
        A sentence for labels, and one for money where the cost of a label is known.
    """
    balance = _balance(allowance, kept)
    left = max(0, allowance.labels - balance.labels)
    if labels and not left:
        yield (
            f"Up to {labels} labels are to be bought, and none of {allowance.labels} is left: the "
            "run ends where it needs the first. Raise `budget`."
        )
    elif labels > left:
        yield (
            f"Up to {labels} labels are to be bought, and {left} are left: a run that "
            "needs more goes on with those. Raise `budget`."
        )
    if allowance.cost is None:
        return
    served, condition = _cost_of_one(config, kept, sample)
    each = config.price + served
    money = max(0.0, allowance.cost - balance.cost)
    if labels * each > money:
        yield (
            f"The money that is left pays for about {int(money / each)} of {labels} "
            f"labels{condition}. Raise `max_cost`, or lower `budget`."
        )
    elif labels * each + others > money:
        yield (
            f"Of {money:,.4g} in money that is left, labels may take {labels * each:,.4g}, judge "
            f"and evaluation {others:,.4g}: where it ends, rounds are not measured, and a `judge` "
            "on a server ends the run. Raise `max_cost`, or lower `evaluation.prompts`."
        )


def _cost_of_one(config: AnnotationConfig, kept: LabelStore, sample: Sample) -> tuple[float, str]:
    """What a server is paid for a label, and under which condition; 0 if it is not known."""
    if costs := _costs(_known(config, kept)):
        return fmean(costs), ""
    requests = _requests(config, sample) if "price_prompt" in config.params else None
    if requests is None or requests.cost is None:
        return 0.0, ""
    return requests.cost, f", {_IF_LONG}"


def _balance(allowance: Allowance, kept: LabelStore) -> Balance:
    if not kept.ledger.exists():
        return Balance(0, 0.0, 0, 0.0)
    with kept.connected() as connection:
        if not isinstance(kept.root, Path) or os.access(kept.root, os.W_OK):
            end_holds_of_the_dead(connection, kept.ledger, allowance.account)
        return balance_of(connection, allowance.account)
