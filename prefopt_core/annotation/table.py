"""Annotation, table in, table out: buy labels within a budget, or ask a free annotator."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from itertools import accumulate
from pathlib import Path

import polars as pl

from prefopt_core.annotation.answers import answers, stop_if_silent
from prefopt_core.annotation.asking import Ask
from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.label_table import label_table
from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.annotation.unfinished import going_on
from prefopt_core.ground.errors import (
    AwaitingLabelsError,
    ConfigError,
    OverBudgetError,
    PrefoptError,
)
from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.spending import paying_from
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.budget import within_budget
from prefopt_core.labels.evidence import sureness
from prefopt_core.labels.purchase import Purchase, buying
from prefopt_core.labels.questions import Compared, Question, Shown
from prefopt_core.labels.store import Label, Labels, LabelStore
from prefopt_core.store.running import cut_short


def buy_labels(
    asked: Asked[pl.DataFrame],
    config: AnnotationConfig,
    labels: int,
    kept: LabelStore,
    *,
    seed: int,
    allowance: Allowance | None = None,
    judgments: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Have whole prompts annotated, in an order drawn from `seed`, while `labels` last.

    Labels that were bought before cost nothing but count towards `labels`, so a repeated run uses
    the same ones as the first. Where `allowance` ends before, the labels that are complete by then
    are the result, and it is `cut_short`.

    Args:
        asked: Tables `prompts`, `candidates` and `selections`; the selections are labelled.
        config: The annotator who is paid, and how it is asked.
        labels: The budget of this purchase: at most so many.
        kept: The label store, with every label bought so far; a new one is committed on arrival.
        seed: Root of the order of prompts.
        allowance: The budget of the whole run; None: nothing limits it.
        judgments: Table `verdicts` of a judge: prompts it is least sure of are labelled first.

    Returns:
        Table `verdicts`, a row for each label; two where both orders are shown.

    Raises:
        AwaitingLabelsError: People have not answered all questions; these are left for them.
        ConfigError: The labels cannot pay for one prompt.
        DataError: The annotator gave something that is no verdict, or nothing else than skips.
        OverBudgetError: The run's budget has too little left for one label.
        UserCodeError: The annotator raised.
    """
    affordable = _affordable(asked.selections, config, labels, judgments, seed=seed)
    asks = list(config.asking.asks(affordable))
    if (wanted := sum(ask.people for ask in asks)) > labels:  # `python -O` leaves assertions out
        raise PrefoptError(f"{wanted} labels were selected, {labels} may be bought.")
    with buying(kept, identity(config), allowance, price=config.price) as purchase:
        known = purchase.known()
        ours = allowance.account if allowance else ""
        paid = _hold(asks, known, purchase, ours)
        questions = _questions(asked, paid, known)
        if questions and (address := config.params.get("base_url")):
            kept.note_server(identity(config), str(address))
        later, refused = _buy(questions, config, purchase, len(paid), len(known))
        people = {ask.compared: ask.people for ask in paid}
        purchase.publish((question, people[question.compared]) for question in later)
        known, published = purchase.known(), purchase.published() if later else {}
    if left := sum(ask.labels_missing(known) for ask in paid if later):
        raise AwaitingLabelsError(
            f"awaiting {left} label{'' if left == 1 else 's'} from people",
            left,
            sum(people.values()) - left,
            sorted({published[question.compared][1] for question in later}),
        )
    complete = [ask for ask in paid if not ask.orders_missing(known)]
    if refused and not complete:
        raise refused
    if len(complete) < len(asks):
        cut_short()
    bought = [label for ask in complete for label in ask.answers(known)]
    return label_table(bought, config.annotator)


def labels_to_buy(
    selections: pl.DataFrame,
    config: AnnotationConfig,
    labels: int,
    kept: LabelStore,
    *,
    seed: int,
    judgments: pl.DataFrame | None = None,
) -> int:
    """How many labels `buy_labels` would pay for: those it takes that are not in the store.

    Args:
        selections: Table `selections`.
        config: As for `buy_labels`.
        labels: As for `buy_labels`.
        kept: As for `buy_labels`.
        seed: As for `buy_labels`.
        judgments: As for `buy_labels`.
    """
    affordable = _affordable(selections, config, labels, judgments, seed=seed)
    known = kept.known(identity(config))
    return sum(ask.labels_missing(known) for ask in config.asking.asks(affordable))


def judge(
    asked: Asked[pl.DataFrame],
    config: AnnotatorConfig,
    policy_logps: pl.DataFrame | None = None,
    reference_logps: pl.DataFrame | None = None,
    unfinished: Path | None = None,
) -> pl.DataFrame:
    """Ask an annotator whose verdicts are no labels: a model or a function.

    Args:
        asked: Tables `prompts`, `candidates` and `selections`; the selections are judged.
        config: The annotator.
        policy_logps: Table `logps` under the policy, for the annotator `policy`.
        reference_logps: Table `logps` under its reference model.
        unfinished: The file of verdicts behind which an interrupted attempt goes on, unless they
            come in batches; None: nothing is kept before all is said.

    Returns:
        Table `verdicts`, a row for each question.

    Raises:
        ConfigError: The annotator is people, who answer later.
        DataError: The annotator gave something that is no verdict.
        UserCodeError: The annotator raised.
    """
    questions = _questions(
        asked, config.asking.asks(asked.selections), {}, policy_logps, reference_logps
    )
    # Where questions go in batches, last digits depend on these, and would on where it was cut off.
    unfinished = None if unfinished is None or "batch_size" in config.params else unfinished
    with going_on(unfinished) as (said, keep):
        new = [question for question in questions if question.key not in said]
        with closing(answers(new, config, len(said) if unfinished else None)) as answered:
            for question, verdict in answered:
                if verdict is None:
                    raise ConfigError(
                        f"Annotator {config.annotator!r} answers later, and only `annotation` can "
                        "wait. Name another one here."
                    )
                keep(question, verdict)
                said[question.key] = verdict
                report_progress(len(said), len(questions))
    return label_table([Label(*q.key, said[q.key]) for q in questions], config.annotator)


def distinct_responses(responses: pl.DataFrame) -> pl.DataFrame:
    """Distinct (prompt_id, candidate_id) of a table `candidates` or `selections`."""
    return responses.select("prompt_id", "candidate_id").unique(maintain_order=True)


def _affordable(
    selections: pl.DataFrame,
    config: AnnotationConfig,
    labels: int,
    judgments: pl.DataFrame | None,
    *,
    seed: int,
) -> pl.DataFrame:
    first = {} if judgments is None else sureness(judgments)
    return within_budget(selections, labels, config.asking.labels_of, seed=seed, first=first)


def _hold(asks: list[Ask], known: Labels, purchase: Purchase, ours: str) -> list[Ask]:
    """Hold the labels of all that is asked, or of as many prompts as the budget pays; returns it.

    Raises:
        OverBudgetError: It pays for none.
    """
    published = purchase.published()
    wanted = [_to_hold(ask, known, published, ours) for ask in asks]
    try:
        purchase.hold(sum(wanted))
    except OverBudgetError:
        last = bisect_right(list(accumulate(wanted)), purchase.affordable())
        while 0 < last < len(asks) and asks[last - 1].prompt_id == asks[last].prompt_id:
            last -= 1
        if not last:
            raise
        purchase.hold(sum(wanted[:last]))
        return asks[:last]
    return asks


def _to_hold(
    ask: Ask, known: Labels, published: Mapping[Compared, tuple[int, str]], ours: str
) -> int:
    """Labels to hold in the budget; a question that was left for people holds its own already."""
    wanted, account = published.get(ask.compared, (0, None))
    if wanted >= ask.people:
        return 0
    # of another account they are taken over: see `Purchase.publish`
    return ask.people - wanted if account == ours else ask.labels_missing(known)


def _questions(
    asked: Asked[pl.DataFrame],
    asks: Iterable[Ask],
    known: Labels,
    policy_logps: pl.DataFrame | None = None,
    reference_logps: pl.DataFrame | None = None,
) -> list[Question]:
    """What is asked and not yet answered, with its texts."""
    missing = [(ask.prompt_id, order) for ask in asks for order in ask.orders_missing(known)]
    ids = pl.DataFrame({"prompt_id": [prompt for prompt, _ in missing]}, {"prompt_id": pl.String()})
    texts = asked.prompts.select("prompt_id", "prompt").join(ids, "prompt_id", "semi")
    prompts = dict(texts.iter_rows())
    shown = _shown(asked.candidates, policy_logps, reference_logps)
    return [
        Question(prompt, prompts[prompt], tuple(shown[one] for one in order))
        for prompt, order in missing
    ]


def _shown(
    candidates: pl.DataFrame,
    policy_logps: pl.DataFrame | None,
    reference_logps: pl.DataFrame | None,
) -> dict[str, Shown]:
    names = {"candidate_id": "candidate_id", "response": "text", "policy": "writer"}
    known = [pl.col(name).alias(own) for name, own in names.items() if name in candidates.columns]
    rows = candidates.unique("candidate_id", keep="first").select(known)
    for name, logps in (("policy_logps", policy_logps), ("reference_logps", reference_logps)):
        if logps is not None:
            rows = rows.join(logps.rename({"logps": name}), "candidate_id", how="left")
    return {row["candidate_id"]: Shown(**row) for row in rows.iter_rows(named=True)}


def _buy(
    questions: Sequence[Question],
    config: AnnotationConfig,
    purchase: Purchase,
    total: int,
    known: int,
) -> tuple[list[Question], OverBudgetError | None]:
    """Have the questions answered.

    Args:
        questions: What is asked.
        config: The annotator.
        purchase: Takes the verdicts.
        total: Labels in all, with those that were known.
        known: Labels of this annotator there are; without any, one that gives no verdict at all
            is stopped.

    Returns:
        Those that people will answer, and why the others were not asked if money ran out.
    """
    later, states = list[Question](), list[str]()
    paying = nullcontext() if purchase.account is None else paying_from(purchase.account)
    with paying, closing(answers(questions, config, known)) as answered:
        if questions and config.annotator != "people":
            purchase.ask(questions[0])
        try:
            for number, (question, verdict) in enumerate(answered, 1):
                if verdict is None:
                    later.append(question)
                    continue
                purchase.commit(question, verdict, *questions[number : number + 1])
                states.append(verdict.state)
                if not known:
                    stop_if_silent(states, config.annotator)
                report_progress(max(0, total - len(questions)) + len(states), total)
        except OverBudgetError as error:
            return later, error
    return later, None
