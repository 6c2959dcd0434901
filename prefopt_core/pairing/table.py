"""Pairing, table in, table out: scores to preference pairs in TRL's columns."""

import logging
from collections.abc import Iterable
from math import isnan

import numpy as np
import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.tables import TABLES, rows_of
from prefopt_core.implicit_reward import preference_probability
from prefopt_core.labels.evidence import Evidence, evidence_in
from prefopt_core.pairing.judged import Judged, Rule
from prefopt_core.pairing.settings import PairingConfig

log = logging.getLogger(__name__)

WIN_RATES = ("chosen_win_rate", "rejected_win_rate")


def pair_responses(
    *,
    labels: pl.DataFrame | None = None,
    judgments: pl.DataFrame | None = None,
    candidates: pl.LazyFrame,
    prompts: pl.DataFrame,
    logps: pl.LazyFrame | None = None,
    config: PairingConfig,
    round_number: int,
    seed: int,
) -> pl.DataFrame:
    """Make the pairs of one round; a prompt with paid labels uses those, the others judgments.

    Args:
        candidates: Table `candidates`, with token ids if the responses were generated here; it may
            be larger than memory.
        prompts: Table `prompts`.
        config: Which rule, and its settings.
        labels: Table `verdicts` of paid labels; their pairs are of source `gold`.
        judgments: Table `verdicts` of the judge; its pairs are of source `self`, of which the
            share `config.keep` with the highest confidence is kept.
        logps: Table `logps` under the policy to be trained, which is also the reference model.
        round_number: Counted from 1; 0 for pairs that were brought along.
        seed: Root of the draws of rules that draw.

    Returns:
        Table `preferences`, without log-probabilities where `logps` is None.

    Raises:
        DataError: No verdict says which response is better, or not of two that have a text, so no
            pair can be made.
    """
    parts = []
    if labels is not None:
        parts.append(_pairs(labels, evidence_in(labels), "gold", config, seed))
    if judgments is not None:
        paid = set() if labels is None else set(labels["prompt_id"])
        free = judgments.filter(~pl.col("prompt_id").is_in(paid))
        own = _of_judgments(free, candidates, config, seed)
        parts.append(_most_confident(own, config.keep))
    pairs = pl.concat(parts, how="diagonal")
    if pairs.is_empty():
        count = sum(table.height for table in (labels, judgments) if table is not None)
        if not count:
            raise DataError(
                "No pair can be made, as there are no verdicts: are all responses to a prompt "
                "the same text? Raise `generation.params.temperature` or `generation.n`."
            )
        if config.is_particular and judgments is not None:
            raise DataError(
                "No pair can be made: `pairing` leaves out what was judged, or it ties. Look at "
                "`finished`, `characters`, `fewest` and `length_penalty` there."
            )
        raise DataError(
            f"No pair can be made: all {count} verdicts are ties, skipped or invalid, or "
            "contradict each other, so nothing says which response is better. Look at the "
            "annotator (`prefopt show annotate`)."
        )
    ids = pl.concat([pairs["chosen_id"], pairs["rejected_id"].alias("chosen_id")])
    written = rows_of(candidates, ids).unique("candidate_id", keep="first", maintain_order=True)
    pairs = _without_empty(pairs, written)
    known = _written(written, candidates)
    if logps is not None:
        known = known.join(rows_of(logps, ids), "candidate_id", how="left", maintain_order="left")
    return _with_texts(pairs, known, prompts, round_number)


def _of_judgments(
    verdicts: pl.DataFrame, candidates: pl.LazyFrame, config: PairingConfig, seed: int
) -> pl.DataFrame:
    """Pairs of the judge's verdicts; with what their length costs, if it costs something."""
    if not config.is_particular:
        return _pairs(verdicts, evidence_in(verdicts), "self", config, seed)
    judged = Judged(evidence_in(verdicts), candidates, config)
    if not config.length_penalty:
        return _pairs(verdicts, judged.evidence, "self", config, seed)
    alpha = config.length_penalty
    if alpha == "auto":
        alpha = judged.balancing(_rule(config, seed))
        log.info("Each character costs a judged response %.3g of its score.", alpha)
    pairs = _pairs(verdicts, judged.penalised(alpha), "self", config, seed)
    return pairs.with_columns(length_penalty=pl.lit(alpha, pl.Float64))


def _rule(config: PairingConfig, seed: int) -> Rule:
    member = config.member()
    return lambda prompt_id, scores: member(scores, rng_for(seed, "pairing", prompt_id))


def _pairs(
    verdicts: pl.DataFrame,
    evidence: Iterable[Evidence],
    source: str,
    config: PairingConfig,
    seed: int,
) -> pl.DataFrame:
    rule, rows = _rule(config, seed), []
    annotators = dict(verdicts.select("prompt_id", "annotator").iter_rows())
    for found in evidence:
        prompt_id, ids, scores = found.prompt_id, found.responses, found.scores
        for chosen, rejected in rule(prompt_id, scores):
            margin = scores[chosen] - scores[rejected]
            sure = _better(found, chosen, rejected, source)
            if sure <= 0.5:  # against all others better, and not when these two were compared
                continue
            row = (prompt_id, ids[chosen], ids[rejected], annotators[prompt_id], source)
            sides = (chosen, rejected) if config.win_rates else ()
            rates = (_win_rate(found, side, source) for side in sides)
            rows.append((*row, sure, margin, *rates))
    contract = TABLES["preferences"]
    columns = {**contract.columns, **contract.optional}
    names = ["prompt_id", "chosen_id", "rejected_id", "annotator", "source", "confidence", "margin"]
    names += WIN_RATES if config.win_rates else ()
    return pl.DataFrame(rows, schema={name: columns[name] for name in names}, orient="row")


def _better(found: Evidence, one: int, other: int, source: str) -> float:
    """P(one response better than another).

    Of responses that were compared, what the verdicts say, or, where these two were not, what
    follows by their scores. Paid scores are certain; a judge's score is an implicit reward, so
    σ(margin).
    """
    margin = found.scores[one] - found.scores[other]
    if found.probabilities is not None:
        direct = float(found.probabilities[one, other])
        return (1 + margin) / 2 if isnan(direct) else direct
    if source == "gold":
        return float(np.heaviside(margin, 0.5))
    return float(preference_probability(margin, 0.0))


def _win_rate(found: Evidence, one: int, source: str) -> float:
    """The mean P(better than one of the prompt's responses), itself included as ½ (SPPO)."""
    others = (at for at in range(len(found.responses)) if at != one)
    wins = 0.5 + sum(_better(found, one, other, source) for other in others)
    return wins / len(found.responses)


def _most_confident(pairs: pl.DataFrame, keep: float) -> pl.DataFrame:
    wanted = max(1, round(keep * pairs.height))  # at least one
    kept = pairs.with_row_index("position").sort("confidence", "position", descending=[True, False])
    return kept.head(wanted).sort("position").drop("position")


def _without_empty(pairs: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """Only pairs of responses that have a text: a policy may write none, and what it cost is spent.

    Raises:
        DataError: There is no other pair.
    """
    blank = candidates.filter(pl.col("response").str.strip_chars() == "")["candidate_id"]
    sides = [pl.col(side).is_in(blank.implode()) for side in ("chosen_id", "rejected_id")]
    kept = pairs.filter(~pl.any_horizontal(sides))
    gone = pairs.height - kept.height
    if kept.is_empty():
        raise DataError(
            f"No pair can be made: a response of each of the {gone} pairs is empty. Look at what "
            "the policy writes (`prefopt show generate`)."
        )
    if gone:
        log.warning(
            "%s of %s pairs are left out: one of their responses is empty.", gone, pairs.height
        )
    return kept


def _written(written: pl.DataFrame, candidates: pl.LazyFrame) -> pl.DataFrame:
    """The responses as messages, and what trainers need of them that all `candidates` have."""
    known = written.select(
        "candidate_id",
        pl.concat_list(pl.struct(role=pl.lit("assistant"), content="response")).alias("messages"),
    )
    generated, without_ids = (
        candidates.select(
            pl.col("finish_reason").ne("given").any(), pl.col("response_token_ids").is_null().any()
        )
        .collect(engine="streaming")
        .row(0)
    )
    if generated and without_ids:
        # Texts from a server, without token ids: whoever tokenises them must know which were cut
        # off, so that these get no end-of-sequence token.
        return known.with_columns(written["finish_reason"].ne("length").alias("finished"))
    if without_ids:
        return known
    return known.with_columns(
        written["response_token_ids"].alias("token_ids"),
        written["prompt_token_ids"],
        written["template"],
    )


def _with_texts(
    pairs: pl.DataFrame, known: pl.DataFrame, prompts: pl.DataFrame, round_number: int
) -> pl.DataFrame:
    names = {
        "messages": "{}",
        "finished": "{}_finished",
        "token_ids": "{}_token_ids",
        "logps": "ref_{}_logps",
    }
    for side in ("chosen", "rejected"):
        columns = {
            column: name.format(side) for column, name in names.items() if column in known.columns
        }
        shared = {"prompt_token_ids", "template"} & set(known.columns if side == "chosen" else [])
        facts = known.select("candidate_id", *columns, *sorted(shared)).rename(
            {"candidate_id": f"{side}_id"} | columns
        )
        pairs = pairs.join(facts, f"{side}_id", how="left", maintain_order="left")
    texts = prompts.select("prompt_id", "prompt")
    return pairs.join(texts, "prompt_id", maintain_order="left").with_columns(
        round=pl.lit(round_number, pl.Int32)
    )
