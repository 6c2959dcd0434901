"""`prefopt compare`: arms × seeds through the store, resumed, in Prefect, and what it prints."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from flows.cli import main
from flows.comparison import compare
from prefopt_core.experiments.grid import load_comparison
from prefopt_core.experiments.results import by_seed
from prefopt_core.store.store import Store
from tasks.session import Session, session

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def prefopt(capsys):
    """Run `prefopt compare …` in this process; returns (exit code, output, error output)."""

    def prefopt(*arguments):
        code = main(["compare", *map(str, arguments)])
        return code, *capsys.readouterr()

    return prefopt


class Listener:
    """Remembers which stages were found in the store and which were computed."""

    def __init__(self):
        self.outcomes = []

    def started(self, stage): ...

    def progressed(self, stage, done, total): ...

    def finished(self, stage, outcome):
        self.outcomes.append((stage, outcome.cached))


@pytest.fixture(scope="module")
def _tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    listener = Listener()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        patch.setenv("PREFOPT_STORE", str(folder / "store"))
        comparison = load_comparison("presets/tiny.yaml", {})
        with session(Session(observer=listener)):
            compared = compare.fn(comparison)
    return SimpleNamespace(
        store=folder / "store",
        comparison=comparison,
        compared=compared,
        outcomes=listener.outcomes,
    )


@pytest.fixture
def tiny(_tiny, store):
    """The finished comparison of presets/tiny.yaml; its store is a copy, in use."""
    shutil.copytree(_tiny.store, store.root)
    return _tiny


@pytest.fixture
def pools(given_candidates, config_file):
    """A comparison without evaluation of a run without a model; each cell takes no time."""
    arms = {"aepo": {}, "random": {"selection.strategy": "random"}}
    preset = {"base": given_candidates, "arms": arms, "baseline": "random"}
    return config_file(preset, "preset.yaml")


def test_arms_share_what_they_have_in_common(tiny):
    table = {}
    for stage, cached in tiny.outcomes:
        table.setdefault(stage, []).append(cached)
    assert table["load_policy"] == [False, True, False, True]  # seed by seed, arm by arm
    assert table["load_prompts"] == [False, True, False, True]
    per_cell = len(table["generate"]) // 4
    second = table["generate"][per_cell : 2 * per_cell]
    assert second[:2] == [True, True]  # the start policy's answers, and the first candidates
    assert table["train"] == [False] * 8
    assert table["compare"] == [False, False]  # after each seed


def test_the_table_holds_what_the_runs_alone_measure(tiny, run):
    store = Store.open()
    table = store.read(tiny.compared.table)
    for cell in tiny.comparison.cells():
        settings = yaml.safe_load(cell.settings())
        metrics = pl.concat([store.read(m) for m in run(settings).metrics])
        rows = table.filter(pl.col("arm") == cell.arm, pl.col("seed") == cell.config.seed)
        assert rows.select("round", "metric", "value").equals(
            metrics.select("round", "metric", "value")
        )
        assert rows["labels"].max() == 12
    assert {(arm, seed) for arm, seed in table.select("arm", "seed").iter_rows()} == {
        (arm, seed) for arm in ("random", "aepo") for seed in (0, 1)
    }


def test_labels_of_a_comparison_are_paid_from_arms_and_seeds(tiny, capsys):
    assert main(["labels", "ls"]) == 0
    said = capsys.readouterr().out
    for name in ("aepo, seed 0", "aepo, seed 1", "random, seed 0", "random, seed 1"):
        assert f"paid from {name}: " in said


def test_arms_count_by_the_round_that_their_runs_return(tiny):
    best = load_comparison("presets/tiny.yaml", {"evaluation.keep": "best"})
    returned, every = (Store.open().read(c.table) for c in (compare.fn(best), tiny.compared))
    scores = every.filter(pl.col("metric") == "gold_score").sort("round")
    for (arm,), rows in scores.group_by("arm"):
        highest = rows.group_by("seed").agg(pl.col("value").max()).sort("seed")
        found = by_seed(returned, arm, "gold_score").select("seed", "value")
        assert found.equals(highest)
    assert not scores.equals(returned.filter(pl.col("metric") == "gold_score").sort("round"))


def test_the_same_again_computes_nothing_and_more_seeds_only_themselves(tiny, prefopt, tmp_path):
    code, output, _ = prefopt("presets/tiny.yaml", "--plan", "--seeds", 3)
    assert code == 0
    stages = re.search(r"aepo, seed 1 +│ (\d+) of \1 ", output)[1]
    assert re.search(rf"aepo, seed 2 +│ 0 of {stages} +│ ≤ 12", output)
    assert "4 of 6 runs are in the store" in output

    listener = Listener()
    with session(Session(observer=listener)):
        assert compare.fn(tiny.comparison).table == tiny.compared.table
    assert all(cached for _, cached in listener.outcomes)

    out = tmp_path / "out"
    code, output, _ = prefopt("presets/tiny.yaml", "--no-server", "--out", out)
    assert code == 0
    assert "aepo, seed 1: " in output
    assert "2 of 2 seeds are compared" in output
    assert re.search(r"random \(baseline\) +│ 2 +│ 12 ", output)
    assert "Holm" in output
    assert {path.name for path in out.iterdir()} == {
        "comparison.csv", "comparison.md",
        "curves-gold-score.svg", "curves-win-rate.svg",
        "differences-gold-score.svg", "differences-win-rate.svg",
    }  # fmt: skip
    assert 'src="curves-win-rate.svg"' in (out / "comparison.md").read_text()
    assert pl.read_csv(out / "comparison.csv").height == tiny.compared.table.rows


@pytest.fixture
def no_server(tools, monkeypatch):
    """No Prefect server runs, and none is to be started."""

    def refuse(**how):
        raise AssertionError("a server was to be started")

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr("flows.server.USUAL_URL", f"http://127.0.0.1:{tools.free_port()}/api")
    monkeypatch.setattr("flows.server.own_server", refuse)


def test_what_the_store_holds_is_compared_without_a_server(tiny, prefopt, contents, no_server):
    before = contents(Store.open())
    _, said, _ = prefopt("presets/tiny.yaml", "--quiet", "--no-server")
    code, output, _ = prefopt("presets/tiny.yaml", "--quiet")
    assert code == 0
    assert output == f"{said}Prefect has no part in this: the store held every result\n"
    assert contents(Store.open()) == before


def test_seeds_that_are_lacking_need_a_server_and_the_others_are_left_alone(
    tiny, store, prefopt, no_server
):
    page = store.root / tiny.compared.report.relative_to(tiny.store)
    before = page.read_bytes()
    with pytest.raises(AssertionError, match="a server was to be started"):
        prefopt("presets/tiny.yaml", "--seeds", 3)
    assert page.read_bytes() == before


def test_a_killed_comparison_goes_on_where_it_was(tiny, store, command, tools, contents):
    undisturbed = contents(store)
    shutil.rmtree(store.root)

    def start():
        return command("compare", "presets/tiny.yaml", "--no-server", "--seeds", 1)

    first = start()
    tools.until(lambda: len(list(store.manifests("train"))) >= 3)  # in the second cell
    tools.kill(first)
    before = {path: path.stat().st_mtime_ns for path in store.root.glob("manifests/*/*.json")}
    printed, _ = start().communicate(timeout=120)
    assert "aepo, seed 0: " in printed
    assert "1 of 1 seeds are compared" in printed
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert contents(store).items() <= undisturbed.items()


def test_a_cell_that_fails_is_named_and_runs_alone(tiny, prefopt, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("def score(prompt, response):\n    return 'good'\n")
    code, _, error = prefopt(
        "presets/tiny.yaml", "--no-server", "--quiet", f"annotation.params.function={file}:score"
    )
    assert code == 2
    assert error.count("\n") == 1
    assert "This was random, seed 0" in error
    alone = re.search(r"`prefopt run (\S+)`", error)[1]
    settings = yaml.safe_load(Path(alone).read_text())
    assert (settings["seed"], settings["selection"]["strategy"]) == (0, "random")
    assert main(["run", alone, "--no-server", "--quiet"]) == 2


@pytest.mark.slow
def test_workers_use_the_store_of_the_session(tiny, store, tmp_path, monkeypatch):
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "elsewhere"))
    monkeypatch.chdir(REPOSITORY)
    with session(Session(store=store)):
        compared = compare.fn(tiny.comparison, workers=2)
    assert compared.table == tiny.compared.table
    assert not (tmp_path / "elsewhere").exists()


def test_several_workers_come_to_the_same_table(tiny, store, prefopt):
    shutil.rmtree(store.root)
    code, output, _ = prefopt("presets/tiny.yaml", "--no-server", "--workers", 2)
    assert code == 0
    assert "2 of 2 seeds are compared" in output
    listener = Listener()
    with session(Session(observer=listener)):
        assert compare.fn(tiny.comparison).table == tiny.compared.table
    assert all(cached for _, cached in listener.outcomes)


def test_a_cell_that_fails_in_a_worker_is_named_too(tiny, prefopt, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("def score(prompt, response):\n    return 'good'\n")
    changes = ["--workers", 2, f"annotation.params.function={file}:score"]
    code, _, error = prefopt("presets/tiny.yaml", "--no-server", "--quiet", *changes)
    assert code == 2
    assert "This was random, seed 0" in error
    assert "The same command goes on from here" in error
    alone = re.search(r"`prefopt run (\S+)`", error)[1]
    assert yaml.safe_load(Path(alone).read_text())["seed"] == 0


def test_workers_run_their_cells_in_the_prefect_of_the_run(tiny, prefect, monkeypatch):
    from prefect.client.orchestration import get_client

    monkeypatch.setenv("PREFECT_API_URL", prefect)  # as the command line does
    with get_client(sync_client=True) as client:
        before = {run.id for run in client.read_flow_runs()}
        state = compare(tiny.comparison, 2, return_state=True)
        runs = [run for run in client.read_flow_runs() if run.id not in before]
    assert state.is_completed()
    assert state.result().table == tiny.compared.table
    assert {"aepo, seed 0", "aepo, seed 1", "random, seed 0", "random, seed 1"} < {
        run.name for run in runs
    }
    assert {run.state.name for run in runs} == {"Completed"}


def test_in_prefect_cells_are_runs_within_the_run(tiny, prefect):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        FlowRunFilterParentFlowRunId,
    )

    state = compare(tiny.comparison, return_state=True)
    assert state.is_completed()
    parent = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        cells = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent])
            )
        )
        artifacts = client.read_artifacts(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[parent]))
        )
    assert sorted(run.name for run in cells) == [
        "aepo, seed 0", "aepo, seed 1", "random, seed 0", "random, seed 1"
    ]  # fmt: skip
    assert {run.state.name for run in cells} == {"Completed"}
    pages = [artifact for artifact in artifacts if artifact.key == "comparison"]
    assert len(pages) == 2  # one after each seed
    assert all(len(page.data.encode()) < 100_000 for page in pages)


def test_what_is_wrong_ends_in_one_line_before_anything_runs(prefopt, pools, store):
    code, _, error = prefopt(pools, "--no-server")
    assert (code, error.count("\n")) == (2, 1)
    assert "arm aepo: Without `evaluation` there is nothing to compare" in error
    for arguments, said in (
        (["presets/none.yaml"], "There is no file"),
        (["presets/tiny.yaml", "seed=1"], "--first-seed"),
        (["presets/tiny.yaml", "selection.kk=1"], "Did you mean 'k'"),
        (["presets/tiny.yaml", "--seeds", "0"], "seeds"),
        (["presets/tiny.yaml", "--workers", "0"], "--workers is 0"),
    ):
        code, _, error = prefopt(*arguments, "--no-server")
        assert (code, error.count("\n")) == (2, 1)
        assert said in error
    assert not store.root.exists()
