"""A run that gets worse: where it ends, and which round's policy and pairs it leaves."""

from types import SimpleNamespace

import polars as pl
import pytest

from prefopt_core.store.runs import last_run
from prefopt_core.store.store import Store

# Called once for each of six held-out responses a round, before anything else of that round.
_MOODY = '''
from pathlib import Path

CALLS = Path({calls!r})

def gold(prompt, response):
    """Likes the first round best and the second one least."""
    number = len(CALLS.read_text()) if CALLS.exists() else 0
    CALLS.write_text("." * (number + 1))
    return (0.0, 1.0, -1.0, 0.0)[min(number // 6, 3)]
'''


@pytest.fixture(scope="module")
def _run(usual_settings, run, tmp_path_factory):
    """Run with these settings of `evaluation`, in one store for all tests."""
    folder = tmp_path_factory.mktemp("stopped")
    file = folder / "moody.py"
    file.write_text(_MOODY.format(calls=str(folder / "calls")))
    rounds = [*usual_settings["rounds"], {"prompts": 4}]
    settings = usual_settings | {"rounds": rounds}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFOPT_STORE", str(folder / "store"))

        def of(**evaluation):
            own = usual_settings["evaluation"] | {"params": {"function": f"{file}:gold"}}
            return run(settings | {"evaluation": own | evaluation})

        yield SimpleNamespace(of=of, store=Store(folder / "store"))


@pytest.fixture
def stopped(_run, monkeypatch):
    monkeypatch.setenv("PREFOPT_STORE", str(_run.store.root))
    return _run


def rows_of(store, artifacts):
    return [store.read(artifact) for artifact in artifacts]


@pytest.mark.slow
def test_a_round_that_loses_ends_the_run_and_the_best_one_is_kept(stopped, prefopt, tmp_path):
    store = stopped.store
    result = stopped.of(stop="worse", keep="best")
    figures = pl.concat(rows_of(store, result.metrics))
    over = figures.filter(pl.col("metric") == "win_rate_over_previous")
    assert over.select("round", "value").rows() == [(1, 1.0), (2, 0.0)]  # and no third round
    assert len(result.metrics) == 3
    assert result.kept == 1
    assert len(list(store.manifests("train"))) == 2
    assert "Kept: round 1, by its gold score on the prompts" in result.report.read_text()

    # What the kept policy learned from is exported, not what made the next one worse.
    (pairs,) = rows_of(store, last_run(store).preferences)
    assert set(pairs["round"]) == {1}
    assert prefopt("export", tmp_path / "out", "--format", "jsonl")[0] == 0
    assert pl.read_ndjson(tmp_path / "out" / "train.jsonl").height == pairs.height

    before = {path: path.stat().st_mtime_ns for path in store.root.glob("manifests/*/*.json")}
    last = stopped.of(stop="worse", keep="last")  # the rules are in no stage's key
    assert {p: p.stat().st_mtime_ns for p in store.root.glob("manifests/*/*.json")} == before
    assert last.kept == 2
    assert last.metrics == result.metrics
    assert last.policy != result.policy
    assert "Kept:" not in last.report.read_text()
    assert [set(own["round"]) for own in rows_of(store, last_run(store).preferences)] == [{1}, {2}]
    assert stopped.of(stop="not_better", keep="best").policy == result.policy


@pytest.mark.slow
def test_without_a_rule_every_round_is_run_and_the_best_may_still_be_kept(stopped):
    first = stopped.of(stop="worse", keep="best")
    result = stopped.of(keep="best")
    assert len(result.metrics) == 4
    assert result.metrics[:3] == first.metrics
    assert (result.kept, result.policy) == (1, first.policy)
    last = stopped.of()
    assert last.kept == 3
    assert last.policy not in (None, first.policy)
