"""An account of several processes, of which one may be killed."""

import pytest

from prefopt_core.annotation.pricing import left_of
from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.labels.account import Allowance, Balance
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import LabelStore
from tests.core.labels.accounts import ME, YOU, balance, buy
from tests.verdicts import about

IMPORTS = """
import sys, time
from pathlib import Path
from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.labels.account import Allowance, opened
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from tests.verdicts import about

kept = LabelStore(Path(sys.argv[1]))
"""
BUY = f"""
{IMPORTS}
name, size, go_on = sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
allowance = Allowance("team", 60, 13.0)
print("ready", flush=True)
while not go_on.exists():
    time.sleep(0.001)
bought = 0
for number in range(60):
    try:
        with buying(kept, AnnotatorIdentity(name, "1"), allowance, price=0.25) as purchase:
            purchase.hold(size)
            for i in range(size):
                purchase.commit(about(f"p{{number}}", f"r{{i}}"), Verdict.scored(1.0))
                bought += 1
    except OverBudgetError:
        break
print(bought)
"""
HANG = f"""
{IMPORTS}
allowance = Allowance("team", 10, 8.0)
with buying(kept, AnnotatorIdentity("me", "1"), allowance, price=0.5) as purchase:
    purchase.hold(6)
    for i in range(2):
        purchase.commit(about("p", f"r{{i}}"), Verdict.scored(1.0))
    with purchase.account.reserving(1.5), purchase.account.reserving(0.25) as paid:
        paid(0.125)
        print("ready", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def kept(tmp_path):
    return LabelStore(tmp_path / "store")


@pytest.mark.slow
def test_eight_processes_that_buy_at_once_never_exceed_their_account(kept, start, tmp_path):
    # 60 labels, or 13.0 / 0.25 = 52; `python -O` must not make a difference
    sizes = [1, 2, 3, 1, 2, 3, 1, 2]
    processes = [
        start(BUY, kept.root, f"annotator {i}", size, tmp_path / "go-on", PYTHONOPTIMIZE=str(i % 2))
        for i, size in enumerate(sizes)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go-on").touch()
    seen = []
    while any(process.poll() is None for process in processes):
        seen.append(balance(kept))
    bought = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert max(own.labels + own.held_labels for own in seen) <= 52
    assert max(own.cost + own.held_cost for own in seen) <= 13.0
    # Whoever buys one at a time ends when nothing is left.
    assert balance(kept) == Balance(52, 13.0, 0, 0.0)
    assert sum(bought) == sum(count for *_, count in kept.counts()) == 52
    assert [*kept.root.glob("locks/holder-*")] == []


def test_of_a_killed_process_labels_are_free_and_reserved_money_counts_as_spent(kept, start):
    process = start(HANG, kept.root)
    assert process.stdout.readline() == "ready\n"
    allowance = Allowance("team", 10, 8.0)
    alive = Balance(2, 1.0, 4, 4 * 0.5 + 1.5 + 0.25)
    assert balance(kept) == alive
    with pytest.raises(OverBudgetError, match="2 are bought, 4 under way"):
        buy(kept, "q", 5, allowance, YOU)
    assert balance(kept) == alive  # a process that lives keeps what it holds
    process.kill()
    process.wait(10)
    buy(kept, "q", 5, allowance, YOU)
    # Labels: the two that arrived. Money: theirs, and all that was reserved for requests, whose
    # answers nobody has seen; not the labels that were never asked for.
    assert balance(kept) == Balance(2 + 5, 2 * 0.5 + 1.5 + 0.25, 0, 0.0)
    assert [*kept.root.glob("locks/holder-*")] == []


ASKED = f"""
{IMPORTS}
allowance = Allowance("team", 10, 8.0)
with buying(kept, AnnotatorIdentity("me", "1"), allowance, price=0.5) as purchase:
    purchase.hold(3)
    purchase.ask(about("p", "r0"))
    purchase.commit(about("p", "r0"), Verdict.scored(1.0), about("p", "r1"))
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_question_that_was_with_the_annotator_of_a_killed_process_is_known_and_paid(kept, start):
    process = start(ASKED, kept.root)
    assert process.stdout.readline() == "ready\n"
    assert balance(kept).unanswered == 0  # its process may still have the answer
    process.kill()
    process.wait(10)
    allowance = Allowance("team", 10, 8.0)
    assert "; 1 asked when a run was killed, its answer not known" in left_of(allowance, kept)
    with buying(kept, YOU, allowance):
        # One label arrived. Of the two that were held one may have been answered, and billed.
        assert balance(kept) == Balance(1, 0.5 + 0.5, 0, 0.0, unanswered=1)
    with buying(kept, ME, allowance, price=0.5) as purchase:
        purchase.hold(1)
        purchase.ask(about("p", "r1"))
        purchase.commit(about("p", "r1"), Verdict.scored(1.0))
    assert balance(kept) == Balance(2, 1.5, 0, 0.0)


def test_of_an_annotator_that_fails_no_answer_is_awaited(kept):
    def fail():
        with buying(kept, ME, Allowance("team", 10), price=0.5) as purchase:
            purchase.ask(about("p", "r"))
            raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        fail()
    with buying(kept, YOU, Allowance("team", 10)):
        assert balance(kept) == Balance(0, 0.0, 0, 0.0)
