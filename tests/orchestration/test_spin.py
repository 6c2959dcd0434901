"""SPIN, whole: labels once, within the budget; then pairs against the policy's own responses."""

import numpy as np
import polars as pl
import pytest

from prefopt_core.scoring.transformers_local import score


@pytest.fixture
def spin(settings, tmp_path, monkeypatch):
    """Settings of SPIN on a model; what is paid for is counted."""
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    kept = {name: value for name, value in settings.items() if name != "rounds"}
    return kept | {"flow": "spin", "iterations": 2}


@pytest.mark.slow
def test_spin_buys_labels_once_and_then_plays_against_itself(run, spin, store, tmp_path):
    result = run(spin)
    figures = pl.concat([store.read(table) for table in result.metrics])
    found = {(row["round"], row["metric"]): row["value"] for row in figures.iter_rows(named=True)}
    assert [found[number, "labels"] for number in range(4)] == [0, 12, 0, 0]  # 13 pay for 6 pairs
    asked = (tmp_path / "calls").read_text().splitlines()
    assert len(asked) == len(set(asked)) == 12 <= spin["budget"]
    assert found[1, "gold_pairs"] > 0
    for number in (2, 3):
        assert found[number, "gold_pairs"] == 0
        assert 0 < found[number, "self_pairs"] <= found[1, "gold_pairs"]

    # One iteration less ends with the policy that the last pairs were made under.
    before = {path: path.stat().st_mtime_ns for path in store.root.glob("manifests/*/*.json")}
    shorter = run(spin | {"iterations": 1})
    assert {p: p.stat().st_mtime_ns for p in store.root.glob("manifests/*/*.json")} == before
    assert shorter.metrics == result.metrics[:3]
    pairs = store.read(result.preferences)
    for side in ("chosen", "rejected"):
        sequences = list(zip(pairs["prompt_token_ids"], pairs[f"{side}_token_ids"], strict=True))
        scored = score(store.open_folder(shorter.policy), sequences)
        assert np.array(scored) == pytest.approx(pairs[f"ref_{side}_logps"].to_numpy(), abs=1e-3)
    assert (pairs["chosen_id"] != pairs["rejected_id"]).all()
    assert pairs["prompt_id"].is_unique().all()
