"""People who answer the questions that runs leave for them."""

import json

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.batch import Batch
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


def question_on(number, *responses, prompt=None):
    """A question on a prompt of its own; by default it compares two short responses."""
    messages = prompt or [{"role": "user", "content": f"How do I mend number {number}?"}]
    prompt_id = prompt_id_of(messages)
    texts = responses or (f"Turn {number} off and on.", f"Read the manual of {number}.")
    shown = tuple(Shown(candidate_id_of(prompt_id, text), text) for text in texts)
    return Question(prompt_id, messages, shown)


def leave(kept, questions, *, people=1, account="", price=0.0, **config):
    """Leave questions for people, as a run does; returns their batch."""
    who = identity(AnnotationConfig(**PEOPLE, **config))
    allowance = Allowance(account, 10_000) if account else None
    with buying(kept, who, allowance, price=price) as purchase:
        purchase.hold(people * len(questions))
        purchase.publish((question, people) for question in questions)
    return Batch(who.name, who.guidelines, account)
