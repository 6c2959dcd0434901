"""Tables that stages exchange, TABLES: the columns and types of each, checked on every write.

Columns are only ever added by a new table keyed by the same ids, never by rewriting an old one.
Ids are content digests, so the same text has the same id in every run and on every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from prefopt_core.ground.errors import DataError

MESSAGES = pl.List(pl.Struct({"role": pl.String(), "content": pl.String()}))
TOKENS = pl.List(pl.Int32())


@dataclass(frozen=True)
class Contract:
    """What a table must hold.

    Attributes:
        key: Columns whose values identify a row; they may not repeat or be null.
        columns: Name → type of the columns that are always there.
        optional: Name → type of columns that are there or not, as a whole.
        nullable: Columns in which a value may be missing.
    """

    key: tuple[str, ...]
    columns: Mapping[str, pl.DataType]
    optional: Mapping[str, pl.DataType] = field(default_factory=dict)
    nullable: frozenset[str] = frozenset()


TABLES: dict[str, Contract] = {
    # one prompt; its stratum (topic, source, language) if the file names one
    "prompts": Contract(
        ("prompt_id",),
        {"prompt_id": pl.String(), "prompt": MESSAGES},
        optional={"stratum": pl.String()},
    ),
    # one prompt, embedded like a response
    "prompt_embeddings": Contract(
        ("prompt_id",), {"prompt_id": pl.String(), "vector": pl.Binary()}
    ),
    # one row of a pool chosen to be labelled, most wanted first; a certificate is of its stratum
    "choices": Contract(
        ("row",),
        {
            "row": pl.Int64(),  # from 0, in the order of the pool
            "rank": pl.Int32(),
            "weight": pl.Float64(),  # rows of the pool it stands for: itself and near-duplicates
            "stratum": pl.String(),  # "" if there are none
            "certificate": pl.String(),  # what is proven about the choice; may be empty
        },
    ),
    # one sampled response; the same text sampled twice is two rows with one candidate_id
    "candidates": Contract(
        ("prompt_id", "sample"),
        {
            "prompt_id": pl.String(),
            "candidate_id": pl.String(),
            "sample": pl.Int32(),
            "response": pl.String(),
            "policy": pl.String(),  # digest of the model that wrote it, or a name from the file
            "finish_reason": pl.String(),  # stop, length (cut off), given (from a file)
            "prompt_token_ids": TOKENS,  # as the model saw it; null when the text came from a file
            "response_token_ids": TOKENS,  # ends with the end-of-sequence token iff stop
            "logps": pl.Float64(),  # sum over response_token_ids under `policy`, temperature 1
            "template": pl.String(),  # digest of the chat template that made prompt_token_ids
        },
        nullable=frozenset({"prompt_token_ids", "response_token_ids", "logps", "template"}),
    ),
    # one distinct response, embedded: d float16, unit length (see vectors.py)
    "embeddings": Contract(("candidate_id",), {"candidate_id": pl.String(), "vector": pl.Binary()}),
    # one response worth a label; objective parts are the prompt's, repeated on its rows
    "selections": Contract(
        ("prompt_id", "candidate_id"),
        {
            "prompt_id": pl.String(),
            "candidate_id": pl.String(),
            "rank": pl.Int32(),  # order in which a label should be spent, from 0
            "representativeness": pl.Float64(),
            "redundancy": pl.Float64(),
            "gap": pl.Float64(),  # what the strategy's objective could gain at most; 0 if proved
        },
        optional={"gain": pl.Float64()},  # what its label adds, if labels are allocated by that
        nullable=frozenset({"representativeness", "redundancy", "gap"}),
    ),
    # what one annotator says to one question (see labels/questions.py): a prompt with one response
    # to score, two to compare or k to rank
    "verdicts": Contract(
        ("question_id", "annotator", "by"),
        {
            "question_id": pl.String(),  # digest of prompt_id and responses
            "prompt_id": pl.String(),
            "responses": pl.List(pl.String()),  # candidate ids, in the order shown
            "annotator": pl.String(),
            "by": pl.String(),  # the person or model; "" where there is only one
            "state": pl.String(),  # given, tie, both_bad, skipped, invalid
            "scores": pl.List(pl.Float64()),  # one a response, higher is better
            "preference": pl.Float64(),  # P(first better than second), of two responses
            "why": pl.String(),  # a reason, or the answer that is no verdict
            "cost": pl.Float64(),
            "seconds": pl.Float64(),  # that a person took
        },
        nullable=frozenset({"scores", "preference", "cost", "seconds"}),
    ),
    # summed log-probability of a response under one model
    "logps": Contract(("candidate_id",), {"candidate_id": pl.String(), "logps": pl.Float64()}),
    # what is believed of a response's reward before it is labelled; comparable within its prompt
    "estimates": Contract(
        ("candidate_id",),
        {
            "candidate_id": pl.String(),
            "reward": pl.Float64(),  # log-odds; higher is better
            "spread": pl.Float64(),  # standard deviation
            "heads": pl.List(pl.Float64()),  # rewards drawn from what is believed; may be empty
        },
    ),
    # one preference pair; prompt, chosen, rejected are TRL's columns
    "preferences": Contract(
        ("prompt_id", "chosen_id", "rejected_id"),
        {
            "prompt_id": pl.String(),
            "prompt": MESSAGES,
            "chosen": MESSAGES,
            "rejected": MESSAGES,
            "chosen_id": pl.String(),
            "rejected_id": pl.String(),
            "annotator": pl.String(),
            "source": pl.String(),  # gold (a paid label) or self (the policy's own judgment)
            "confidence": pl.Float64(),  # P(chosen better than rejected) of the judge; 1 for gold
            "margin": pl.Float64(),  # score(chosen) - score(rejected) > 0
            "round": pl.Int32(),
        },
        optional={
            "prompt_token_ids": TOKENS,
            "chosen_token_ids": TOKENS,
            "rejected_token_ids": TOKENS,
            "template": pl.String(),  # digest of the chat template behind the token ids
            # of texts without token ids: false where it was cut off, so has no end of sequence
            "chosen_finished": pl.Boolean(),
            "rejected_finished": pl.Boolean(),
            "ref_chosen_logps": pl.Float64(),
            "ref_rejected_logps": pl.Float64(),
            # mean P(better than a response to the same prompt), itself included as ½; of pairs
            # that were made without them null
            "chosen_win_rate": pl.Float64(),
            "rejected_win_rate": pl.Float64(),
            # what each character of a judged response cost it; of paid labels null
            "length_penalty": pl.Float64(),
            # how far the judge's ranking is that of the judge before, 0 to 1; null: not known
            "consistency": pl.Float64(),
        },
        nullable=frozenset(
            {"chosen_win_rate", "rejected_win_rate", "length_penalty", "consistency"}
        ),
    ),
    # what a lint says of pairs; rows are those of the pairs' table, from 0
    "findings": Contract(
        ("lint", "said"),
        {
            "lint": pl.String(),  # a name from `prefopt list lints`
            "said": pl.String(),
            "advice": pl.String(),
            "count": pl.Int64(),
            "of": pl.Int64(),
            "rows": pl.List(pl.Int64()),
        },
    ),
    # one figure of one round; low and high bound its 95 % interval
    "metrics": Contract(
        ("round", "metric"),
        {
            "round": pl.Int32(),
            "metric": pl.String(),
            "value": pl.Float64(),
            "low": pl.Float64(),
            "high": pl.Float64(),
            "n": pl.Int64(),
        },
        nullable=frozenset({"low", "high"}),
    ),
    # one figure of one round of one run of a comparison
    "comparison": Contract(
        ("arm", "seed", "round", "metric"),
        {
            "arm": pl.String(),
            "seed": pl.Int64(),
            "round": pl.Int32(),
            "metric": pl.String(),
            "value": pl.Float64(),
            "labels": pl.Int64(),  # used up to this round
        },
    ),
}


def check_table(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Check a table against its contract.

    Args:
        name: A key of `TABLES`.
        frame: The table.

    Returns:
        `frame` with its columns in the contract's order.

    Raises:
        DataError: Columns are missing, unexpected or of another type; a value is missing where
            none may be; or rows share their key.
    """
    contract, actual = TABLES[name], dict(frame.schema)
    expected = {**contract.columns, **{c: t for c, t in contract.optional.items() if c in actual}}
    missing = sorted(expected.keys() - actual.keys())
    extra = sorted(actual.keys() - expected.keys())
    wrong = [f"{c} is {actual[c]}, not {t}" for c, t in expected.items() if actual.get(c, t) != t]
    problems = [f"missing {missing}"] if missing else []
    problems += [f"unexpected {extra}"] if extra else []
    problems += wrong
    if not problems:
        problems = [
            f"{frame[c].null_count()} missing values in {c}"
            for c in contract.columns
            if c not in contract.nullable and frame[c].null_count()
        ]
        if frame[list(contract.key)].is_duplicated().any():
            problems.append(f"rows that share their key {', '.join(contract.key)}")
    if problems:
        raise DataError(
            f"Table '{name}' breaks its contract: {'; '.join(problems)}. "
            "Fix the stage that writes it; the contract is in prefopt_core/ground/tables.py."
        )
    return frame[list(expected)]


def rows_of(table: pl.LazyFrame, candidate_ids: pl.Series) -> pl.DataFrame:
    """The rows of these candidates, in the order of the table, which may be larger than memory."""
    wanted = candidate_ids.rename("candidate_id").to_frame().lazy().unique()
    kept = table.join(wanted, "candidate_id", how="semi", maintain_order="left")
    # Texts are views of the shard they were read from, and hold all of it in memory: copied.
    return kept.with_columns(pl.col(pl.String) + pl.lit("")).collect(engine="streaming")


def empty(name: str) -> pl.DataFrame:
    """A table without rows, with the columns of contract `name` but the optional ones."""
    return pl.DataFrame(schema=TABLES[name].columns)


def in_shards(frame: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    """Cut a table into shards of `size` rows; an empty one is one empty shard."""
    return [frame[start : start + size] for start in range(0, max(1, frame.height), size)]
