"""Tables `verdicts` and `candidates` for tests, from what a test says in one line a verdict."""

import polars as pl

from prefopt_core.ground.ids import digest_of
from prefopt_core.ground.tables import TABLES, check_table, empty


def verdicts(*rows):
    """Rows of (prompt, responses in the order shown, who says it, what).

    What: a preference, a list of scores, or the name of a state. Who: the annotator, or with a
    slash and a name one of several.
    """
    made = []
    for prompt, shown, who, what, *seconds in rows:
        annotator, _, by = who.partition("/")
        responses = [f"{prompt}{name}" for name in shown]
        made.append(
            {
                "question_id": digest_of(prompt, *responses),
                "prompt_id": prompt,
                "responses": responses,
                "annotator": annotator,
                "by": by,
                "state": what if isinstance(what, str) else "given",
                "scores": [float(score) for score in what] if isinstance(what, list) else None,
                "preference": what if isinstance(what, float) else None,
                "why": "",
                "cost": None,
                "seconds": seconds[0] if seconds else None,
            }
        )
    return check_table("verdicts", pl.DataFrame(made, schema=TABLES["verdicts"].columns))


def candidates(texts):
    """Rows of a table `candidates`: {candidate_id: text}."""
    rows = [
        {"prompt_id": name[:-1], "candidate_id": name, "sample": number, "response": text}
        | {"policy": "me", "finish_reason": "given"}
        for number, (name, text) in enumerate(texts.items())
    ]
    return pl.DataFrame(rows, schema=empty("candidates").schema)
