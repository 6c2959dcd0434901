"""The reward model of recorded verdicts is measured on prompts that it has not seen."""

import re

import numpy as np

from benchmarks.smollm import Pairs, told


def source(name, count, *, learned=True):
    prompts = [f"{name} {i // 2}" for i in range(count)]  # two pairs each
    return Pairs(name, prompts, ["a"] * count, ["bb"] * count, learned)


def right(sources, states):
    """Source → how often the head and the longer response are right."""
    rows = [re.split(r" *\| *", line) for line in told(sources, states).splitlines()[2:]]
    return {row[1]: tuple(float(cell.split()[0]) for cell in row[4:6]) for row in rows}


def test_the_head_finds_what_decides_and_learns_nothing_of_a_source_that_is_a_test_alone():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(60, 4)) * [1, 1, 1, 0.1] + [0, 0, 0, 1]
    found = right(
        [source("people", 60), source("test", 60, learned=False)], [states, states * [1, 1, 1, -1]]
    )
    assert found == {"people": (1.0, 0.0), "test": (0.0, 0.0)}


def test_the_head_does_not_know_a_pair_by_heart():
    # Twice as many dimensions as pairs: seen, each pair could be told.
    states = np.random.default_rng(0).normal(size=(200, 400))
    head, _ = right([source("people", 200)], [states])["people"]
    assert 0.35 < head < 0.65
