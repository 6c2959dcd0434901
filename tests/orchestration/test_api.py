"""prefopt from Python, as notebooks use it."""

import pytest

from flows.api import plan, run, select
from prefopt_core.ground.errors import ConfigError

TEXTS = [
    "I am sorry that your lamp is broken; we send another one today.",
    "I am sorry your lamp is broken; we send a new one today.",
    "No.",
    "No.",
]


def test_selected_texts_are_unlike_each_other():
    chosen = select(TEXTS, k=2, embedder="hashing")
    assert len(chosen) == 2
    assert 2 in chosen
    assert 3 not in chosen  # the same text as 2


def test_selection_takes_settings_and_names_of_the_config():
    assert select(TEXTS, 2, strategy="random", seed=1, embedder="hashing")
    with pytest.raises(ConfigError, match="Did you mean 'diversity_weight'"):
        select(TEXTS, 2, embedder="hashing", diversity_wait=1.0)
    with pytest.raises(ConfigError, match=r"selection\.k"):
        select(TEXTS[:1], 2, embedder="hashing")


def test_texts_that_are_all_equal_leave_nothing_to_compare():
    assert select(["No.", "No."], 2, embedder="hashing") == []


def test_a_plan_says_what_would_run_and_what_it_would_buy(settings, tmp_path):
    planned = plan(settings, {"budget": 20}, store=tmp_path / "store")
    assert {"generate", "annotate", "train"} <= {*planned.stages["stage"]}
    assert set(planned.stages["state"]) == {"miss"}
    assert planned.labels == 13
    assert planned.config.budget == 20
    assert "annotate" in repr(planned)


@pytest.mark.slow
def test_a_run_returns_frames_and_paths_and_goes_on_from_its_store(settings, tmp_path, capsys):
    store = tmp_path / "store"
    finished = run(settings, store=store)
    assert "generate" in capsys.readouterr().out
    assert {"round", "metric", "value"} <= {*finished.metrics.columns}
    assert {"prompt", "chosen", "rejected"} <= {*finished.preferences.columns}
    assert (finished.policy / "config.json").is_file()
    assert finished.report.is_file()
    assert str(finished.policy) in repr(finished)
    again = run(settings, store=store, quiet=True)
    assert capsys.readouterr().out == ""
    assert again.metrics.equals(finished.metrics)
    assert set(plan(settings, store=store).stages["state"]) == {"hit"}
