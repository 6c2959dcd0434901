"""What holds of labels in an SQLite file holds of labels in PostgreSQL: the same tests."""

import inspect
import random
import secrets
import traceback

import pytest
import sqlalchemy

from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.labels.account import Allowance, Balance
from prefopt_core.labels.desk import Desk
from prefopt_core.labels.intact import changed_labels
from prefopt_core.labels.kept import Which, verdicts_kept
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store.postgres import database_at
from prefopt_core.store.store import Store
from tests.core.labels import test_account, test_account_money, test_desk
from tests.core.labels.accounts import ME, balance
from tests.people import leave, question_on
from tests.verdicts import about, question

pytestmark = pytest.mark.slow


def of_a_file(test):
    return any(said in inspect.getsource(test) for said in ("kept.path", "kept.root"))


for module in (test_account, test_account_money, test_desk):
    for name, test in vars(module).items():
        takes = name.startswith("test_") and "kept" in inspect.signature(test).parameters
        if takes and not of_a_file(test):
            globals()[name] = test
del test


@pytest.fixture
def kept(postgres):
    return LabelStore(postgres.database())


BUY = """
import os, random, sys, time
from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store.postgres import database_at
from tests.verdicts import about

kept = LabelStore(database_at(os.environ["PREFOPT_LABELS"]))
who = AnnotatorIdentity(sys.argv[1], "1")
for _ in range(1000):
    try:
        with buying(kept, who, Allowance("team", 40), price=0.25) as purchase:
            known = {label.prompt_id for labels in purchase.known().values() for label in labels}
            wanted = [prompt for i in range(60) if (prompt := f"p{i:02}") not in known][:3]
            purchase.hold(len(wanted))
            for prompt in wanted:
                purchase.ask(about(prompt, "r"))
                with open(sys.argv[2], "a") as asked:
                    print(who.name, prompt, file=asked)
                time.sleep(random.uniform(0.0, 0.05))
                purchase.commit(about(prompt, "r"), Verdict.scored(1.0))
    except OverBudgetError:
        break
"""


def test_four_processes_buy_at_once_are_killed_and_started_again_within_one_budget(
    kept, start, tmp_path
):
    asked = tmp_path / "asked"
    asked.touch()

    def buyer(number):
        return start(BUY, f"annotator {number % 2}", asked, PREFOPT_LABELS=kept.root.url)

    draw, buyers, kills = random.Random(0), [buyer(number) for number in range(4)], 0
    while any(process.poll() is None for process in buyers):
        own = balance(kept)
        assert own.labels + own.held_labels <= 40
        if len(asked.read_text().splitlines()) > 3 * kills and kills < 10:
            kills += 1
            at = draw.randrange(4)
            buyers[at].kill()
            buyers[at].wait()
            buyers[at] = buyer(at)
    assert [process.returncode for process in buyers] == [0] * 4
    with buying(kept, ME, Allowance("team", 40)):
        own = balance(kept)
    bought = sum(count for *_, count in kept.counts())
    assert (own.labels, own.held_labels, kills) == (bought, 0, 10)
    assert 30 < bought <= 40  # what a killed one held is free again, when others may have ended
    # Only what was with an annotator that was killed is asked again.
    lines = asked.read_text().splitlines()
    assert len(lines) - len(set(lines)) <= kills
    assert len(set(lines)) <= bought + kills


def test_texts_of_any_length_and_sign_come_back_as_they_were(kept):
    long = AnnotatorIdentity("{" + secrets.token_hex(20_000) + "}", "1", earlier=("before",))
    said = Verdict.preferred(1.0, by="Ada", why="a\0b \U0001f600")
    asked = question("Why?\0", "Because\0.", "So \U0001f600")
    for who in (AnnotatorIdentity("before", "1"), long):
        with buying(kept, who) as purchase:  # the second claims what the first bought
            if not purchase.known():
                purchase.ask(asked)
                purchase.commit(asked, said)
    ((label,),) = kept.known(long).values()
    assert label.verdict == said
    (entry,) = verdicts_kept(kept, Which())
    assert entry.question == asked
    assert changed_labels(kept) == (1, [])


def test_two_desks_that_are_kept_open_give_no_question_to_more_people_than_it_is_for(kept):
    batch = leave(kept, [question_on(number) for number in range(6)], account="us")
    one, other = Desk(kept, batch), Desk(LabelStore(kept.root), batch)
    with one.kept_open(), other.kept_open():
        recorded = []
        while shown := one.ahead("Ada"):
            beside = other.ahead("Ben")
            recorded.append(one.record(*shown[0].key, Verdict.preferred(1.0, by="Ada")))
            for question in beside:  # that was on both screens
                said = other.record(*question.key, Verdict.preferred(0.0, by="Ben"))
                assert (said == "refused") == (question.compared == shown[0].compared)
        assert "refused" not in recorded
        assert other.progress() == one.progress()
        assert one.progress().left == 0
    assert sum(count for *_, count in kept.counts()) == balance(kept, "us").labels == 6


def test_a_desk_goes_on_once_the_server_answers_again(kept, postgres):
    desk = Desk(kept, leave(kept, [question_on(number) for number in range(2)], account="us"))
    with desk.kept_open():
        (first,) = desk.ahead("Ada")
        postgres.stop()
        try:
            for _ in range(2):
                with pytest.raises(StoreError, match="Once the server answers, run the same"):
                    desk.record(*first.key, Verdict.preferred(1.0, by="Ada"))
        finally:
            postgres.start()
        assert desk.record(*first.key, Verdict.preferred(1.0, by="Ada")) == "kept"
        (second,) = desk.ahead("Ada")
        assert desk.record(*second.key, Verdict.preferred(1.0, by="Ada")) == "last"


def test_who_bought_while_the_server_was_away_may_not_go_on_without_its_locks(kept, postgres):
    def buy():
        with buying(kept, ME, Allowance("team", 3)) as purchase:
            purchase.hold(2)
            purchase.commit(about("p", "r0"), Verdict.scored(1.0))
            postgres.stop()
            postgres.start()
            for number in range(2):
                with pytest.raises(sqlalchemy.exc.DBAPIError):
                    purchase.commit(about("p", f"r{number}"), Verdict.scored(1.0))
            raise RuntimeError("the run ends")

    with pytest.raises(StoreError, match="Cannot use the labels in postgresql://prefopt@"):
        buy()
    with buying(kept, ME, Allowance("team", 3)):
        assert balance(kept) == Balance(1, 0.0, 0, 0.0)


@pytest.mark.parametrize(
    "url", ["mysql://me@here/db", "postgresql://me:p@ss@here/db", "postgresql://here:port/db"]
)
def test_an_address_of_no_such_database_is_refused_and_not_repeated(url, monkeypatch, tmp_path):
    monkeypatch.setenv("PREFOPT_LABELS", url)
    with pytest.raises(ConfigError, match="no address of a PostgreSQL database") as refused:
        LabelStore.of(Store(tmp_path))
    assert "here" not in str(refused.value)


def test_a_password_is_in_no_message(postgres):
    name = str(postgres.database()).rpartition("/")[2]
    kept = LabelStore(database_at(postgres.url(name, "no-such-secret")))
    with pytest.raises(StoreError, match=r"failed.*PGPASSWORD or ~/\.pgpass") as refused:
        kept.counts()
    shown = "".join(traceback.format_exception(refused.value)) + repr(kept.root) + str(kept.ledger)
    assert "no-such-secret" not in shown
