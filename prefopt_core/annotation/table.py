"""Annotation, table in, table out: buy labels within a budget, or score with a free annotator."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from prefopt_core.annotation import Request
from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.annotation.verdicts import number_in
from prefopt_core.ground.errors import DataError, PrefoptError, UserCodeError
from prefopt_core.ground.ids import last_text, quoted
from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.tables import TABLES
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.budget import within_budget
from prefopt_core.labels.store import LabelStore

Scores = dict[tuple[str, str], float | None]
"""(prompt_id, candidate_id) → score, or None where the annotator gave none."""
_SILENT = 8
"""So many labels without a verdict at the beginning of a purchase end it."""


def buy_labels(
    asked: Asked[pl.DataFrame],
    config: AnnotationConfig,
    labels: int,
    kept: LabelStore,
    *,
    seed: int,
) -> pl.DataFrame:
    """Have whole prompts annotated, in an order drawn from `seed`, while `labels` last.

    One label is one response scored. Labels that were bought before cost nothing but count towards
    `labels`, so a repeated run uses the same ones as the first.

    Args:
        asked: Tables `prompts`, `candidates` and `selections`; the selections are labelled.
        config: The annotator who is paid.
        labels: The budget: at most so many.
        kept: The label store, with every label bought so far; a new one is committed on arrival.
        seed: Root of the order of prompts.

    Returns:
        Table `annotations`, a row for each label.

    Raises:
        ConfigError: The labels cannot pay for one prompt.
        DataError: The annotator gave something that is not a finite number, or no verdict at all.
        UserCodeError: The annotator raised.
    """
    affordable = within_budget(asked.selections, labels, seed=seed)
    requests = _requests(replace(asked, selections=affordable))
    annotator = identity(config)
    with kept.buying(annotator) as purchase:
        scores = {(p, ids[0]): score for (p, ids), score in purchase.known().items()}
        missing = {key: request for key, request in requests.items() if key not in scores}
        number_known = len(scores)
        if len(requests) > labels:  # no assertion: `python -O` leaves those out
            raise PrefoptError(f"{len(requests)} labels were selected, {labels} may be bought.")
        bought: list[float | None] = []
        for key, score in _scored(missing, config):
            purchase.commit(key[0], [key[1]], score)
            scores[key] = score
            bought.append(score)
            if number_known == 0:
                _stop_if_silent(bought, config.annotator)
            report_progress(len(requests) - len(missing) + len(bought), len(requests))
    return _table({key: scores[key] for key in requests}, config.annotator)


def labels_to_buy(
    selections: pl.DataFrame,
    config: AnnotationConfig,
    labels: int,
    kept: LabelStore,
    *,
    seed: int,
) -> int:
    """How many labels `buy_labels` would pay for: those it takes that are not in the store.

    Args:
        selections: Table `selections`.
        config: As for `buy_labels`.
        labels: As for `buy_labels`.
        kept: As for `buy_labels`.
        seed: As for `buy_labels`.
    """
    affordable = within_budget(selections, labels, seed=seed)
    known = kept.known(identity(config))
    keys = affordable.select("prompt_id", "candidate_id").iter_rows()
    return sum((prompt_id, (candidate_id,)) not in known for prompt_id, candidate_id in keys)


def judge(
    asked: Asked[pl.DataFrame],
    config: AnnotatorConfig,
    policy_logps: pl.DataFrame | None = None,
    reference_logps: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Score selected responses with an annotator that costs nothing: a model or a function.

    Args:
        asked: Tables `prompts`, `candidates` and `selections`; the selections are scored.
        config: The annotator.
        policy_logps: Table `logps` under the policy, for the annotator `policy`.
        reference_logps: Table `logps` under its reference model.

    Returns:
        Table `annotations`, a row for each selected response.

    Raises:
        DataError: The annotator gave something that is not a finite number.
        UserCodeError: The annotator raised.
    """
    requests = _requests(asked, policy_logps, reference_logps)
    scores = {}
    for key, score in _scored(requests, config):
        scores[key] = score
        report_progress(len(scores), len(requests))
    return _table(scores, config.annotator)


def distinct_responses(responses: pl.DataFrame) -> pl.DataFrame:
    """Distinct (prompt_id, candidate_id) of a table `candidates` or `selections`."""
    return responses.select("prompt_id", "candidate_id").unique(maintain_order=True)


def _requests(
    asked: Asked[pl.DataFrame],
    policy_logps: pl.DataFrame | None = None,
    reference_logps: pl.DataFrame | None = None,
) -> dict[tuple[str, str], Request]:
    texts = asked.candidates.unique("candidate_id", keep="first").select("candidate_id", "response")
    rows = asked.selections.join(texts, "candidate_id", maintain_order="left")
    rows = rows.join(asked.prompts, "prompt_id", maintain_order="left")
    for name, logps in (("policy_logps", policy_logps), ("reference_logps", reference_logps)):
        if logps is not None:
            rows = rows.join(
                logps.rename({"logps": name}), "candidate_id", how="left", maintain_order="left"
            )
    return {
        (row["prompt_id"], row["candidate_id"]): Request(
            prompt=row["prompt"],
            response=row["response"],
            policy_logps=row.get("policy_logps"),
            reference_logps=row.get("reference_logps"),
        )
        for row in rows.iter_rows(named=True)
    }


def _scored(
    requests: dict[tuple[str, str], Request], config: AnnotatorConfig
) -> Iterator[tuple[tuple[str, str], float | None]]:
    if not requests:
        return
    asked: Sequence[Request] = list(requests.values())
    scores = iter(config.member()(asked))
    for number, (key, request) in enumerate(requests.items()):
        try:
            score = next(scores)
        except UserCodeError as error:
            raise UserCodeError(
                f"{error}, asked {_about(request)}. {_mend(config)}"
            ) from error.__cause__
        except StopIteration:
            raise DataError(
                f"Annotator {config.annotator!r} gave {number} scores for {len(asked)} responses; "
                f"expected one each, in order. {_mend(config)}"
            ) from None
        yield key, _checked(score, request, config)


def _mend(config: AnnotatorConfig) -> str:
    """What to do after an error, and what becomes of the labels that were bought before it."""
    if not isinstance(config, AnnotationConfig):
        return "Mend the annotator and run the same command again."
    if config.name is None and "function_file" in config.content():
        return (
            "Labels bought so far are kept for the function as it is now, and its mended self is "
            "another. To keep them: run once more with `annotation.name=NAME`, a name of your "
            "choice, though it ends here again; then mend it, and run with that name from then on."
        )
    return "Labels bought so far are kept; mend the annotator and run the same command again."


def _about(request: Request) -> str:
    prompt = quoted(last_text(request.prompt))
    return f"for the response {quoted(request.response)} to the prompt {prompt}"


def _checked(score: Any, request: Request, config: AnnotatorConfig) -> float | None:
    if score is None:
        return None
    try:
        return number_in(score)
    except ValueError as problem:
        raise DataError(
            f"Annotator {config.annotator!r} gave {problem}. That was {_about(request)}; expected "
            f"a finite number, or None for no verdict. {_mend(config)}"
        ) from None


def _stop_if_silent(verdicts: Sequence[float | None], annotator: str) -> None:
    """End a purchase that brings nothing, before the budget is spent on it.

    Raises:
        DataError: The first `_SILENT` verdicts are all None.
    """
    if len(verdicts) == _SILENT and not any(score is not None for score in verdicts):
        raise DataError(
            f"Annotator {annotator!r} gave no verdict (None) to the first {_SILENT} responses it "
            "was asked about. Does it `return` its score, and does it know these texts? These "
            "labels are kept; mend it, or run the same command again if that is right."
        )


def _table(scores: Scores, annotator: str) -> pl.DataFrame:
    rows = [
        (prompt_id, candidate_id, annotator, score, "skipped" if score is None else "scored")
        for (prompt_id, candidate_id), score in scores.items()
    ]
    return pl.DataFrame(rows, schema=TABLES["annotations"].columns, orient="row")
