"""Labels are money: each is kept the moment it arrives, none is bought twice, none too many."""

import signal
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.table import buy_labels, labels_to_buy
from prefopt_core.ground.errors import ConfigError, DataError, UserCodeError
from prefopt_core.ground.tables import check_table
from prefopt_core.labels.account import balance_of
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.budget import within_budget
from prefopt_core.labels.store import LabelStore

ANNOTATOR = '''
import time
from pathlib import Path

FOLDER = Path(__file__).parent

def score(prompt, response):
    """Cost something, which is written down before the answer is given."""
    with (FOLDER / "asked").open("a") as file:
        file.write(f"{prompt} {response}\\n")
    time.sleep(0.004)
    special = FOLDER / "special"  # the answer to one response, as an expression
    if special.exists() and special.read_text().startswith(response + " "):
        return eval(special.read_text().partition(" ")[2])
    return len(response) + int(response[-1])
'''
BUY = """
import sys
from pathlib import Path
import polars as pl
from prefopt_core.annotation.table import buy_labels
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.store import LabelStore

root, annotator, tables, labels = *map(Path, sys.argv[1:4]), int(sys.argv[4])
read = [pl.read_parquet(tables / name) for name in ("selections", "candidates", "prompts")]
config = AnnotationConfig(annotator="function", params={"function": f"{annotator}:score"})
print("ready", flush=True)
allowance = Allowance("team", labels)  # not one label more than is wanted
bought = buy_labels(Asked(*read), config, labels, LabelStore(root), seed=0, allowance=allowance)
print(sorted(bought.select("responses", "scores").rows()))
"""


class Market:
    """Responses to label, two to a prompt, and somebody who writes down what was asked."""

    def __init__(self, folder, prompts):
        self.folder = folder
        (folder / "annotator.py").write_text(ANNOTATOR)
        rows = [(f"p{p}", f"p{p} r{r}", r) for p in range(prompts) for r in range(2)]
        self.selections = pl.DataFrame(rows, ["prompt_id", "candidate_id", "rank"], orient="row")
        self.candidates = self.selections.with_columns(
            response=pl.col("candidate_id").str.split(" ").list.last()
        )
        self.prompts = pl.DataFrame(
            {
                "prompt_id": [f"p{p}" for p in range(prompts)],
                "prompt": [[{"role": "user", "content": f"p{p}"}] for p in range(prompts)],
            }
        )
        for name in ("selections", "candidates", "prompts"):
            getattr(self, name).write_parquet(folder / name)
        self.labels = LabelStore(folder / "store")

    def config(self, **changes):
        params = {"function": f"{self.folder / 'annotator.py'}:score"}
        return AnnotationConfig(annotator="function", params=params, **changes)

    def buy(self, labels, seed=0, **changes):
        asked = Asked(self.selections, self.candidates, self.prompts)
        return buy_labels(asked, self.config(**changes), labels, self.labels, seed=seed)

    def to_buy(self, labels, **changes):
        config = self.config(**changes)
        return labels_to_buy(self.selections, config, labels, self.labels, seed=0)

    def answer(self, response, expression):
        (self.folder / "special").write_text(f"{response} {expression}")

    @property
    def asked(self):
        asked = self.folder / "asked"
        return asked.read_text().splitlines() if asked.exists() else []

    @property
    def spent(self):
        with self.labels.connected() as connection:
            balance = balance_of(connection, "team")
        assert balance.held_labels == 0
        return balance.labels

    @property
    def known(self):
        known = self.labels.known(identity(self.config()))
        return {label.responses[0]: label.verdict for own in known.values() for label in own}


@pytest.fixture
def market(tmp_path):
    return Market(tmp_path, 20)


# --- bought once --------------------------------------------------------------------------------


def test_labels_are_bought_once_and_then_known(market):
    first = market.buy(40)
    assert check_table("verdicts", first).height == 40
    assert set(first["state"]) == {"given"}
    assert market.buy(40).equals(first)
    assert sorted(market.asked) == sorted(market.selections["candidate_id"])


def test_larger_budget_buys_only_what_is_missing(market):
    few = market.buy(10)
    assert market.to_buy(16) == 6
    more = market.buy(16)
    assert more.head(10).equals(few)
    assert len(market.asked) == 16
    assert market.to_buy(10) == market.to_buy(16) == 0


def test_planning_buys_nothing(market):
    assert market.to_buy(40) == 40
    assert market.labels.counts() == []
    assert not market.labels.root.exists()
    assert market.asked == []


def test_what_one_response_costs_does_not_depend_on_other_prompts(market):
    market.buy(40)
    market.selections = market.selections.filter(pl.col("prompt_id") > "p5")
    market.buy(len(market.selections))
    assert len(market.asked) == 40


def test_no_verdict_is_bought_too_and_not_asked_for_again(market):
    market.answer("r1", None)
    bought = market.buy(40)
    skipped = bought.filter(state="skipped")
    assert skipped["responses"].list.first().str.ends_with("r1").all()
    assert (skipped.height, skipped["scores"].null_count()) == (20, 20)
    market.answer("r1", 5)
    assert market.to_buy(40) == 0
    assert market.buy(40).equals(bought)
    assert len(market.asked) == 40


def test_other_guidelines_are_bought_again(market):
    market.buy(4)
    assert market.to_buy(4, guidelines="2") == 4
    market.buy(4, guidelines="2")
    assert len(market.asked) == 8
    assert [(guidelines, n) for _, guidelines, n in market.labels.counts()] == [("1", 4), ("2", 4)]


def test_price_is_not_part_of_who_judges(market):
    market.buy(4)
    assert market.to_buy(4, price=2.5) == 0


# --- budget -------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(0, 30), st.integers(0, 3))
def test_whole_prompts_are_bought_in_one_order_and_never_beyond_the_budget(sizes, labels, seed):
    rows = [(f"p{p}", f"{p} {r}", r) for p, size in enumerate(sizes) for r in range(size)]
    selections = pl.DataFrame(rows, ["prompt_id", "candidate_id", "rank"], orient="row")

    def bought(labels):
        try:
            return within_budget(selections, labels, seed=seed)
        except ConfigError:
            return selections.clear()

    affordable, more = bought(labels), bought(labels + 1)
    assert affordable.height <= labels
    counts = dict(affordable.group_by("prompt_id").len().rows())
    assert all(count == sizes[int(prompt_id[1:])] for prompt_id, count in counts.items())
    assert more.head(affordable.height).equals(affordable)
    assert affordable.equals(bought(labels))
    if labels >= len(rows):
        assert affordable.height == len(rows)


@pytest.mark.parametrize("labels", [2, 3, 17])
def test_budget_is_never_exceeded(market, labels):
    assert market.buy(labels).height == len(market.asked) == labels // 2 * 2


def test_budget_that_pays_for_no_prompt_says_what_to_change(market):
    with pytest.raises(ConfigError, match=r"1 labels .* 2 responses are.*takes 2.*`selection\.k`"):
        market.buy(1)
    assert market.asked == []


def test_nothing_selected_costs_nothing(market):
    market.selections = market.selections.clear()
    assert market.buy(10).height == 0


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["float('nan')", "float('inf')", "'good'", "[1]"])
def test_answer_that_is_no_number_is_an_error_and_earlier_labels_are_kept(market, answer):
    market.answer("r1", answer)
    with pytest.raises(DataError, match=r"'function' gave .* for the response 'r1'.*are kept"):
        market.buy(40)
    (label,) = market.known
    assert label.endswith("r0")
    market.answer("r1", "1.5")
    assert market.buy(40).height == 40
    assert len(market.asked) == 41


def test_error_of_the_annotator_is_not_blamed_on_the_store(market):
    market.answer("r1", "open('/dev/null/secret')")
    message = r"raised NotADirectoryError: .*annotator\.py, line \d+.*response 'r1'.*are kept"
    with pytest.raises(UserCodeError, match=message):
        market.buy(40)
    assert len(market.known) == 1


def test_labels_before_an_error_count_for_the_mended_function_under_a_name(market):
    market.answer("r1", "open('/dev/null/secret')")
    for settings in ({}, {"name": "mine"}):
        with pytest.raises(UserCodeError, match="r1"):
            market.buy(40, **settings)
    (market.folder / "annotator.py").write_text(f"# mended\n{ANNOTATOR}")
    market.answer("r1", "1.5")
    assert market.to_buy(40, name="mine") == 39
    assert market.to_buy(40) == 40
    assert market.buy(40, name="mine").height == 40


@pytest.mark.slow
def test_killed_buyer_loses_no_label_and_asks_for_none_again(market, start, run_code):
    arguments = (market.labels.root, market.folder / "annotator.py", market.folder, 40)
    kills = 0
    for delay in np.random.default_rng(0).uniform(0.0, 0.1, size=6):
        paid, before = market.known, len(market.asked)
        process = start(BUY, *arguments)
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        kills += process.wait(10) == -signal.SIGKILL
        now, asked = market.known, market.asked[before:]
        assert paid.items() <= now.items()
        assert not paid.keys() & set(asked)
        assert set(now) - set(paid) <= set(asked)
        assert len(asked) - (len(now) - len(paid)) <= 1  # at most the one in flight is lost
    printed = run_code(BUY, *arguments).splitlines()[1]
    assert kills > 0
    assert 40 <= len(market.asked) <= 40 + kills
    assert len(set(market.asked)) == len(market.known) == 40
    assert market.spent == 40
    assert printed == str(sorted(market.buy(40).select("responses", "scores").rows()))


@pytest.mark.slow
def test_two_processes_that_want_the_same_labels_buy_each_once(market, start):
    arguments = (market.labels.root, market.folder / "annotator.py", market.folder, 40)
    processes = [start(BUY, *arguments) for _ in range(2)]
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert printed[0] == printed[1]
    assert market.spent == 40
    assert sorted(market.asked) == sorted(market.selections["candidate_id"])
