"""People who answer the questions that runs leave for them."""

import json

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Question, Shown, Verdict
from prefopt_core.labels.store import LabelStore

PEOPLE = {"annotator": "people"}


def answer(store, most=None):
    """Say of every open question that the first response is better; returns how many were open."""
    kept, config = LabelStore.of(store), AnnotationConfig(**PEOPLE)
    with kept.connected() as connection:
        rows = connection.execute("SELECT prompt_id, responses FROM questions").fetchall()
    done = kept.known(identity(config))
    with buying(kept, identity(config)) as purchase:
        for prompt_id, responses in rows[:most]:
            question = Question(prompt_id, (), tuple(Shown(i, "") for i in json.loads(responses)))
            if question.compared not in done:
                purchase.commit(question, Verdict.preferred(1.0, by="Ada"))
    return len(rows)
