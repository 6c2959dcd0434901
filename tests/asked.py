"""A label store in which questions wait for people, and kept verdicts of every kind."""

from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.labels.account import Allowance, opened
from prefopt_core.labels.kept import Which, questions_open, verdicts_kept
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Question, Shown
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore

PEOPLE = AnnotatorIdentity('{"people":{}}', "1")
EVERYTHING = Which()


def question(prompt, *responses):
    """A question on texts, with the ids that they have."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    prompt_id = prompt_id_of(messages)
    shown = (Shown(candidate_id_of(prompt_id, text), text) for text in responses)
    return Question(prompt_id, messages, tuple(shown))


class Labels:
    """A label store, and what a test does with it."""

    def __init__(self, root):
        self.kept = LabelStore(root)

    def ask(self, *questions, wanted=1, labels=100, price=0.5, annotator=PEOPLE):
        """Leave questions for people, as a run does."""
        allowance = Allowance("the run", labels)
        with buying(self.kept, annotator, allowance, price=price) as purchase:
            purchase.hold(len(questions) * wanted)
            purchase.publish([(question, wanted) for question in questions])

    def keep(self, *said, annotator=PEOPLE):
        """Keep verdicts, as a purchase does."""
        with buying(self.kept, annotator) as purchase:
            for question, verdict in said:
                purchase.commit(question, verdict)

    @property
    def open(self):
        return questions_open(self.kept, EVERYTHING)

    @property
    def verdicts(self):
        return verdicts_kept(self.kept, EVERYTHING)

    @property
    def said(self):
        """(prompt_id, responses as shown) → the verdicts."""
        found = {}
        for entry in self.verdicts:
            found.setdefault(entry.question.key, []).append(entry.verdict)
        return found

    @property
    def balance(self):
        with opened(self.kept, Allowance("the run", 100)) as account:
            return account.balance()
