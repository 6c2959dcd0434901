"""Pairing, table in, table out: scores to preference pairs in TRL's columns."""

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.tables import TABLES
from prefopt_core.implicit_reward import preference_probability
from prefopt_core.pairing.settings import PairingConfig


def pair_responses(
    *,
    annotations: pl.DataFrame | None = None,
    judgments: pl.DataFrame | None = None,
    candidates: pl.DataFrame,
    prompts: pl.DataFrame,
    logps: pl.DataFrame | None = None,
    config: PairingConfig,
    round_number: int,
    seed: int,
) -> pl.DataFrame:
    """Make the pairs of one round; a prompt with paid labels uses those, the others judgments.

    Args:
        candidates: Table `candidates`, with token ids if the responses were generated here.
        prompts: Table `prompts`.
        config: Which rule, and its settings.
        annotations: Table `annotations` of paid labels; their pairs are of source `gold`.
        judgments: Table `annotations` of the judge; its pairs are of source `self`, of which the
            share `config.keep` with the highest confidence is kept.
        logps: Table `logps` under the policy to be trained, which is also the reference model.
        round_number: Counted from 1; 0 for pairs that were brought along.
        seed: Root of the draws of rules that draw.

    Returns:
        Table `preferences`, without log-probabilities where `logps` is None.

    Raises:
        DataError: All scores tie or were skipped, so no pair can be made.
    """
    parts = []
    if annotations is not None:
        parts.append(_pairs(annotations, "gold", config, seed))
    if judgments is not None:
        paid = set() if annotations is None else set(annotations["prompt_id"])
        free = judgments.filter(~pl.col("prompt_id").is_in(paid))
        parts.append(_most_confident(_pairs(free, "self", config, seed), config.keep))
    pairs = pl.concat(parts)
    if pairs.is_empty():
        count = sum(table.height for table in (annotations, judgments) if table is not None)
        if not count:
            raise DataError(
                "No pair can be made, as there are no annotations: are all responses to a prompt "
                "the same text? Raise `generation.params.temperature` or `generation.n`."
            )
        raise DataError(
            f"No pair can be made: all {count} annotations tie or were skipped, so nothing says "
            "which response is better. Look at the annotator (`prefopt show annotate`)."
        )
    return _with_texts(pairs, candidates, prompts, logps, round_number)


def _pairs(
    annotations: pl.DataFrame, source: str, config: PairingConfig, seed: int
) -> pl.DataFrame:
    rule, rows = config.member(), []
    scored = annotations.filter(pl.col("state") == "scored")
    for group in scored.partition_by("prompt_id", maintain_order=True):
        prompt_id, ids = group["prompt_id"][0], group["candidate_id"].to_list()
        scores = group["score"].to_list()
        rng = rng_for(seed, "pairing", prompt_id)
        for chosen, rejected in rule(scores, rng):
            margin = scores[chosen] - scores[rejected]
            # A paid label counts as certain. The judge's score is an implicit reward, so σ(margin)
            # is its P(chosen ≻ rejected).
            sure = 1.0 if source == "gold" else float(preference_probability(margin, 0.0))
            rows.append(
                (prompt_id, ids[chosen], ids[rejected], group["annotator"][0], source, sure, margin)
            )
    columns = TABLES["preferences"].columns
    names = ("prompt_id", "chosen_id", "rejected_id", "annotator", "source", "confidence", "margin")
    return pl.DataFrame(rows, schema={name: columns[name] for name in names}, orient="row")


def _most_confident(pairs: pl.DataFrame, keep: float) -> pl.DataFrame:
    wanted = max(1, round(keep * pairs.height))  # at least one
    kept = pairs.with_row_index("position").sort("confidence", "position", descending=[True, False])
    return kept.head(wanted).sort("position").drop("position")


def _with_texts(
    pairs: pl.DataFrame,
    candidates: pl.DataFrame,
    prompts: pl.DataFrame,
    logps: pl.DataFrame | None,
    round_number: int,
) -> pl.DataFrame:
    written = candidates.unique("candidate_id", keep="first", maintain_order=True)
    known = written.select(
        "candidate_id",
        pl.concat_list(pl.struct(role=pl.lit("assistant"), content="response")).alias("messages"),
    )
    if (written["finish_reason"] != "given").any() and written["response_token_ids"].has_nulls():
        # Texts from a server, without token ids: whoever tokenises them must know which were cut
        # off, so that these get no end-of-sequence token.
        known = known.with_columns(written["finish_reason"].ne("length").alias("finished"))
    elif written["response_token_ids"].null_count() == 0:
        known = known.with_columns(
            written["response_token_ids"].alias("token_ids"),
            written["prompt_token_ids"],
            written["template"],
        )
    if logps is not None:
        known = known.join(logps, "candidate_id", how="left", maintain_order="left")
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
