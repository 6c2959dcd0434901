"""Questions to annotators, and the tables `verdicts` that stages make of what they say."""

import polars as pl

from prefopt_core.ground.ids import candidate_id_of, digest_of, prompt_id_of
from prefopt_core.ground.tables import TABLES
from prefopt_core.labels.questions import Question, Shown, Verdict

SKIPPED = Verdict("skipped")


def question(prompt, *responses, **logps):
    """A question about these texts; the prompt is a text, or a list of messages."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    prompt_id = prompt_id_of(messages)
    shown = (Shown(candidate_id_of(prompt_id, text), text, **logps) for text in responses)
    return Question(prompt_id, messages, tuple(shown))


def about(prompt_id, *responses):
    """A question by its ids; what it says does not matter."""
    prompt = [{"role": "user", "content": f"Text of {prompt_id}"}]
    return Question(prompt_id, prompt, tuple(Shown(one, f"Text of {one}") for one in responses))


def verdicts_table(*said, annotator="judge"):
    """A row for each (prompt_id, candidate ids in the order shown, verdict)."""
    rows = [
        {
            "question_id": digest_of(prompt_id, *responses),
            "prompt_id": prompt_id,
            "responses": list(responses),
            "annotator": annotator,
            "by": verdict.by,
            "state": verdict.state,
            "scores": verdict.scores and list(verdict.scores),
            "preference": verdict.preference,
            "why": verdict.why,
            "cost": verdict.usage.cost,
            "seconds": verdict.seconds,
        }
        for prompt_id, responses, verdict in said
    ]
    return pl.DataFrame(rows, schema=TABLES["verdicts"].columns)


def scores_table(scores, annotator="judge"):
    """A row for each response: prompt_id → candidate_id → its score; None is no verdict."""
    said = [
        (prompt_id, (response,), SKIPPED if score is None else Verdict.scored(score))
        for prompt_id, own in scores.items()
        for response, score in own.items()
    ]
    return verdicts_table(*said, annotator=annotator)


def scores_of(verdicts):
    """The score that each verdict gives to one response; None where it was skipped."""
    every = list(verdicts)
    kinds = {(verdict.state, len(verdict.scores or ())) for verdict in every}
    assert kinds <= {("given", 1), ("skipped", 0)}, kinds
    return [verdict.scores[0] if verdict.scores else None for verdict in every]
