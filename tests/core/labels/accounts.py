"""Purchases of labels on an account, and what it holds then."""

from prefopt_core.labels.account import Allowance, balance_of
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity
from tests.verdicts import about

ME, YOU = AnnotatorIdentity("me", "1"), AnnotatorIdentity("you", "1")
TEAM = Allowance("team", 10)
GOOD = Verdict.scored(1.0)


def balance(kept, account="team"):
    with kept.connected() as connection:
        return balance_of(connection, account)


def buy(kept, prompt, responses, allowance=TEAM, who=ME, price=0.0, hold=None):
    with buying(kept, who, allowance, price=price) as purchase:
        purchase.hold(responses if hold is None else hold)
        for number in range(responses):
            purchase.commit(about(prompt, f"r{number}"), GOOD)
