"""Runs whose shards are computed by workers: the same run, with the same results."""

import pytest

from prefopt_core.experiments.flows import CONFIGS

PROCESSES = {"runner": "processes", "workers": 2, "stages": {"score_preferences": {"cpus": 2}}}


@pytest.mark.slow
def test_where_shards_are_computed_changes_neither_name_nor_budget_nor_results(
    settings, finished, config_file, prefopt, monkeypatch
):
    monkeypatch.setattr("subprocess.Popen", None)
    code, printed, _ = prefopt("run", config_file(settings | {"execution": PROCESSES}))
    assert code == 0
    assert "○" not in printed  # all of it is found
    assert [run.name for run in (finished.root / "runs").glob("align-*")] != []
    flow = CONFIGS[settings.pop("flow")]
    inline, elsewhere = (flow(**settings | more) for more in ({}, {"execution": PROCESSES}))
    assert inline.named("a").name == elsewhere.named("a").name
    assert inline.allowance == elsewhere.allowance


@pytest.mark.slow
def test_run_with_workers_comes_to_the_results_of_one_without(settings, finished, other_store, run):
    theirs = other_store()
    run(settings | {"execution": PROCESSES})
    made = {
        store: {(m.stage, m.key): (m.output, m.role) for m in store.manifests()}
        for store in (finished, theirs)
    }
    assert made[theirs] == made[finished]


def test_unknown_stage_is_told_before_anything_runs(settings, store, config_file, prefopt):
    wrong = settings | {"execution": {"stages": {"generat": {"gpus": 1}}}}
    for verb in ("plan", "run"):
        code, _, said = prefopt(verb, config_file(wrong))
        assert code != 0
        assert "execution.stages: There is no stage 'generat'. Did you mean 'generate'?" in said


@pytest.mark.slow
def test_stage_that_asks_a_server_is_not_sent_to_workers(
    given_candidates, store, config_file, prefopt, loopback, prompts_file
):
    params = {"base_url": loopback.url, "model_name": "m", "max_new_tokens": 8}
    asking = given_candidates | {
        "prompts": {"source": "file", "params": {"path": str(prompts_file)}},
        "generation": {"generator": "openai", "n": 3, "params": params},
        "execution": {"runner": "processes"},
    }
    _, printed, _ = prefopt("run", "--no-server", config_file(asking))
    assert "! generate is computed here, not by workers: it asks a server." in printed
    assert loopback.asked
