"""Rounds measured by an annotator that compares: beside the start policy and the last round."""

import polars as pl
import pytest

from prefopt_core.store.runs import last_run

_LONGER = """
def compare(prompt, first, second):
    with open({calls!r}, "a") as file:
        print(prompt, first, second, sep="\\t", file=file)
    return 0.5 + (len(first) > len(second)) / 2 - (len(first) < len(second)) / 2
"""


@pytest.mark.slow
def test_a_judge_that_compares_measures_every_round(settings, prefopt, run, config_file, store):
    folder = store.root.parent
    judge, calls = folder / "judge.py", folder / "calls"
    judge.write_text(_LONGER.format(calls=str(calls)))
    params = {"function": f"{judge}:compare", "ask": "compare", "orders": "both"}
    settings["evaluation"] |= {"params": params, "keep": "best", "stop": "worse"}
    code, _, error = prefopt("plan", config_file(settings))
    assert (code, error) == (0, "")
    metrics = pl.concat([store.read(each) for each in run(settings).metrics])
    rates = metrics.filter(metric="win_rate")
    assert rates["round"].to_list() == [*range(1, 1 + metrics["round"].max())]
    assert "gold_score" not in metrics["metric"]
    over = metrics.filter(metric="win_rate_over_previous")
    assert over.filter(round=1)["value"].to_list() == rates.filter(round=1)["value"].to_list()
    asked = [tuple(line.split("\t")) for line in calls.read_text().splitlines()]
    assert len({*asked}) == len(asked) > 0  # nothing is asked twice
    assert {(prompt, second, first) for prompt, first, second in asked} == {*asked}  # both orders
    figures = folder / "figures.csv"
    code, output, error = prefopt("evaluate", last_run(store).name, "--output", figures)
    assert (code, error) == (0, "")
    for row in rates.iter_rows(named=True):
        assert f"{100 * row['value']:.1f} %" in output
    assert len(calls.read_text().splitlines()) == len(asked)
    # Strength is of the games beside the last round, too, which win rates against the start lack.
    games = dict(pl.read_csv(figures).filter(policy="round 2").select("metric", "n").iter_rows())
    assert games["bradley_terry"] == 2 * games["win_rate"]
