"""Rules that choose pairs by estimated rewards, in whole runs on a model with random weights."""

import polars as pl
import pytest

from tasks.session import Session, session


class Names:
    """Remembers the names of the stages that ran."""

    def __init__(self):
        self.stages = []

    def started(self, stage):
        self.stages.append(stage)

    def progressed(self, stage, done, total): ...

    def finished(self, stage, outcome): ...


@pytest.fixture
def ran(run, settings, store):
    """Run `align` with a strategy; returns the names of the stages, in their order."""

    def ran(strategy, **more):
        names = Names()
        given = settings | {"selection": {"strategy": strategy}} | more
        del given["evaluation"]
        with session(Session(observer=names)):
            run(given)
        return names.stages

    return ran


def written(store, stage):
    """Tables that a stage wrote, the oldest first."""
    made = sorted(store.manifests(stage), key=lambda manifest: manifest.created)
    return [store.read(manifest.output) for manifest in made]


@pytest.mark.slow
def test_strategy_that_needs_no_estimates_makes_none(ran):
    assert not {"estimate", "estimate_by_policy", "select_pairs"} & set(ran("aepo"))


@pytest.mark.slow
def test_second_round_has_learned_from_the_labels_of_the_first(ran, store):
    stages = ran("delta_ucb")
    assert stages.count("estimate") == stages.count("select_pairs") == 2
    assert "select" not in stages
    first, second = written(store, "estimate")
    assert first["reward"].abs().max() == 0.0
    assert second["reward"].abs().max() > 0.0
    assert set(second["heads"].list.len()) == {20}
    selections = pl.concat(written(store, "select_pairs"))
    assert set(selections.group_by("prompt_id").len()["len"]) == {2}


@pytest.mark.slow
def test_policy_estimates_all_candidates_and_knows_nothing_in_the_first_round(ran, store):
    stages = ran("small_margin", estimation={"source": "policy"}, embedding=None)
    assert stages.count("estimate_by_policy") == 2
    tables = pl.concat(written(store, "estimate_by_policy"))
    candidates = pl.concat(written(store, "generate"))
    assert set(tables["candidate_id"]) == set(candidates["candidate_id"])
    zeros = tables.filter(pl.col("reward") == 0.0)
    assert 0 < len(zeros) < len(tables)


def test_select_has_no_estimates_and_says_so(prefopt, given_candidates, store):
    pool = given_candidates["generation"]["params"]["path"]
    code, _, error = prefopt("select", pool, "--strategy", "bald", "--embedder", "hashing")
    assert code == 2
    assert "'bald' needs estimates of rewards, which only flow `align` makes" in error
