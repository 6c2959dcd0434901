"""UltraFeedback, binarized: whole conversations with the scores of both last messages."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from prefopt_core.exchange.cells import Row, number_in, public
from prefopt_core.exchange.files import each, records_in, write_records
from prefopt_core.exchange.pairs import Better, lost_of_pairs, pairs_of
from prefopt_core.exchange.trl import pair_in_any_order, said
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import last_text, prompt_id_of
from prefopt_core.inputs.pairs import SIDES
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict

_SCORES = ("score_chosen", "score_rejected")


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write a pair a row; where a verdict has no scores they are the probabilities of winning.

    Yields:
        What the file cannot hold.
    """
    write_records(path, [_row(pair) for pair in pairs_of(entries)])
    yield from lost_of_pairs(entries)
    yield "Who gave a verdict, why, and the order shown are not held; probabilities are scores."


def _row(pair: Better) -> Row:
    chosen, rejected = ([*pair.prompt, said(shown.text)] for shown in (pair.chosen, pair.rejected))
    scores = pair.scores or (pair.confidence, 1 - pair.confidence)
    return {
        "prompt": last_text(pair.prompt),
        "prompt_id": prompt_id_of(pair.prompt),
        "chosen": chosen,
        "rejected": rejected,
        "messages": chosen,
        **dict(zip(_SCORES, scores, strict=True)),
    }


def read(path: Path) -> Iterator[Entry]:
    """Read pairs with their scores; equal scores are a tie.

    Raises:
        DataError: The file cannot be read, or a row is no pair or has no scores.
    """
    yield from each(records_in(path), lambda row, where: [_entry(row, where)])


def _entry(row: Row, where: str) -> Entry:
    scores = [number_in(row, name, where) for name in _SCORES]
    chosen, rejected = scores
    if chosen is None or rejected is None or not chosen >= rejected:
        raise DataError(
            f"{where}: the scores are {chosen} of the chosen and {rejected} of the rejected one; "
            "expected two numbers, the first not less. Read it with `--format trl` to go by "
            "`chosen` alone, or remove the row."
        )
    # `prompt` is one text there, also where the conversations have several turns before the last.
    sides: Row = {side: row[side] for side in SIDES if side in row}
    whole = all(isinstance(side, list) and len(side) > 1 for side in sides.values())
    question, first = pair_in_any_order(sides if whole else row, where)
    if chosen == rejected:
        return public(question, verdict=Verdict("tie"), where=where)
    both = (chosen, rejected) if first else (rejected, chosen)
    return public(question, verdict=Verdict.scored(*both), where=where)
