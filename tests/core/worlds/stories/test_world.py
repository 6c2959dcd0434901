"""The measurements of the worlds; and, where the model is at hand, that the stories are a world."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.worlds import Samples, figures, right, sample, worlds

MODEL = os.environ.get("STORIES_MODEL", "")


def samples(gold, *, words, logps):
    count = len(gold)
    return Samples(
        gold=np.array(gold, float),
        words=np.array(words, float),
        logps=np.array(logps, float),
        tokens=np.full(count, 10.0),
        unfinished=np.zeros(count),
        texts=[f"story {i % 2}" for i in range(count)],
    )


def test_a_judge_is_right_where_it_orders_pairs_as_gold_does():
    gold = np.array([3.0, 2.0, 2.0])  # two pairs are decided
    assert right(np.array([5.0, 1.0, 9.0]), gold) == 0.5
    assert right(np.array([5.0, 1.0, 5.0]), gold) == 0.75  # no opinion is half right
    assert right(gold, gold) == 1.0
    assert np.isnan(right(gold, np.ones(3)))


def test_figures_of_two_prompts_by_hand():
    found = figures(
        [
            samples([1, 2, 3, 4], words=[1, 2, 3, 4], logps=[-1, -2, -3, -4]),
            samples([0, 0, 0, 4], words=[4, 3, 2, 1], logps=[-9, -8, -7, -1]),
        ]
    )
    start = {name: text.split(" [")[0] for name, text in found.items()}
    assert start["gold score, mean"] == "1.75"
    assert start["best of 8 minus mean"] == "2.25"  # 1.5 and 3
    assert start["pairs that tie"] == "0.25"  # 0 and 3 of 6
    assert start["longer is better"] == "0.50"  # always and never
    assert start["more likely is better"] == "0.50"  # never and always
    assert start["distinct responses of 8"] == "2.00"


def test_without_a_model_there_is_the_help_desk_alone():
    assert [world.name for world in worlds(None)] == ["help desk"]
    assert [world.name for world in worlds(Path("m"))] == ["help desk", "stories"]
    assert [world.name for world in worlds(None, answers=True)] == ["help desk", "short answers"]


@pytest.mark.slow
@pytest.mark.skipif(not MODEL, reason="STORIES_MODEL names no folder of stories260K-hf")
def test_neither_length_nor_likelihood_gives_the_preference_away(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path))
    world = worlds(Path(MODEL).resolve())[1]
    told = sample(world, prompts=40, seed=0)
    assert all(0.4 < judged(told, of) < 0.6 for of in ("words", "logps"))
    assert np.mean([s.gold.max() - s.gold.mean() for s in told]) > 0.8
    assert len({text for s in told for text in s.texts}) > 300  # of 320


def judged(told, of):
    return np.nanmean([right(getattr(s, of), s.gold) for s in told])
