"""Dividing the prompts: every one has its own draw, and no two parts share one."""

import polars as pl
import pytest

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import prompt_id_of
from prefopt_core.inputs.drawing import draw


def prompts(texts):
    messages = [[{"role": "user", "content": text}] for text in texts]
    return pl.DataFrame({"prompt_id": [prompt_id_of(m) for m in messages], "prompt": messages})


def order(table, seed=0):
    return draw(table, 0, None, "round 1", seed=seed)["prompt_id"].to_list()


MANY = prompts(map(str, range(40)))


def test_parts_are_disjoint_and_together_they_are_everything():
    parts = [draw(MANY, first, 10, "round", seed=3)["prompt_id"] for first in (0, 10, 20, 30)]
    assert [len(part) for part in parts] == [10] * 4
    assert sorted(pl.concat(parts)) == sorted(MANY["prompt_id"])


def test_without_a_count_all_that_are_left_are_taken():
    assert draw(MANY, 35, None, "training", seed=0)["prompt_id"].to_list() == order(MANY)[35:]


def test_more_prompts_change_no_other_prompts_place_among_themselves():
    more = pl.concat([prompts(map(str, range(100, 140))), MANY])
    assert [i for i in order(more) if i in set(MANY["prompt_id"])] == order(MANY)


def test_order_of_the_file_does_not_matter_and_the_seed_does():
    assert order(MANY.reverse()) == order(MANY)
    assert order(MANY, seed=1) != order(MANY)


@pytest.mark.parametrize(("first", "count"), [(0, 41), (35, 6), (40, None)])
def test_wanting_more_prompts_than_there_are_names_both_numbers_and_the_purpose(first, count):
    message = (
        rf"There are 40 prompts; round 2 wants {count or 1} after the {first}.* lower `prompts`"
    )
    with pytest.raises(ConfigError, match=message):
        draw(MANY, first, count, "round 2", seed=0)


def test_prompts_that_were_learned_from_are_never_drawn():
    prompts = pl.DataFrame({"prompt_id": [f"p{i}" for i in range(10)]})
    used = prompts[:4]
    drawn = draw(prompts, 0, None, "test", seed=0, used=[used])
    assert set(drawn["prompt_id"]) == {f"p{i}" for i in range(4, 10)}
    with pytest.raises(ConfigError, match="There are 6 prompts"):
        draw(prompts, 0, 7, "test", seed=0, used=[prompts[:2], prompts[2:4]])
