"""Several policies as one judge: rewards are means of theirs."""

import polars as pl
import pytest

from prefopt_core.implicit_reward import implicit_reward
from prefopt_core.scoring.ensemble import mean_logps


def logps(**values):
    return pl.DataFrame({"candidate_id": [*values], "logps": [*values.values()]})


def test_the_reward_by_mean_log_probabilities_is_the_mean_of_rewards():
    first, second = logps(a=-10.0, b=-20.0), logps(b=-16.0, a=-13.0)
    table = mean_logps([first, second])
    assert table["candidate_id"].to_list() == ["a", "b"]
    start = {"a": -12.0, "b": -21.0}
    for one, value in table.iter_rows():
        each = [
            implicit_reward(policy.filter(candidate_id=one)["logps"][0], start[one], beta=0.1)
            for policy in (first, second)
        ]
        assert implicit_reward(value, start[one], beta=0.1) == pytest.approx(sum(each) / 2)


def test_one_policy_is_itself():
    assert mean_logps([logps(a=-1.5, b=-2.5)]).equals(logps(a=-1.5, b=-2.5))
