"""Delta learning's judge: a stronger writer's response is the better one."""

from dataclasses import replace

import pytest

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.annotation.by_writer import annotate
from prefopt_core.ground.errors import ConfigError
from tests.verdicts import question


def written(*writers):
    asked = question("hi", *(f"text {n}" for n in range(len(writers))))
    shown = (replace(one, writer=w) for one, w in zip(asked.responses, writers, strict=True))
    return replace(asked, responses=tuple(shown))


def test_responses_rank_as_their_writers():
    writers = ["3b", "1.5b", "0.5b"]
    asked = [written("1.5b", "3b"), written("0.5b", "3b", "1.5b"), written("3b", "3b")]
    first, all_three, same = annotate(asked, writers=writers)
    assert (first.probability(0, 1), first.scores) == (0.0, (-2.0, -1.0))
    assert all_three.scores == (-3.0, -1.0, -2.0)
    assert same.state == "tie"


def test_writer_that_has_no_place_is_told_with_those_that_have():
    with pytest.raises(ConfigError, match=r"by '7b', .*writers: 3b, 1\.5b\. Set `params\.writers`"):
        list(annotate([written("3b", "7b")], writers=["3b", "1.5b"]))


def test_writer_in_two_places_is_refused():
    with pytest.raises(ConfigError, match=r"'writers': .*stands there twice.* Name each once\.$"):
        ANNOTATORS.complete_params("by-writer", {"writers": ["3b", "1.5b", "3b"]})
