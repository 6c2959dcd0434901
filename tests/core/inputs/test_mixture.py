"""Prompts of several sources by shares, and system messages."""

from collections import Counter

import pytest
import yaml

from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.sources import load_run
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.settings import PromptsConfig
from tests.core.experiments.smallest import FLOWS


@pytest.fixture
def parts(write):
    """Two files: 40 prompts `a …`, 10 prompts `b …` of which one is among the others, too."""
    a = write("a.jsonl", [{"prompt": f"a {i}"} for i in range(40)])
    b = write("b.jsonl", [{"prompt": "a 3"}, *({"prompt": f"b {i}"} for i in range(9))])
    return [
        {"source": "file", "params": {"path": str(a)}, "share": 3},
        {"source": "file", "params": {"path": str(b)}, "share": 1},
    ]


def mixed(parts, seed=0, **settings):
    config = PromptsConfig(source="mixture", params={"parts": parts, **settings})
    return check_table("prompts", config.member()(seed))


def asked(table):
    return [messages[-1]["content"] for messages in table["prompt"]]


def test_parts_have_their_shares_whatever_the_count(parts):
    for count in (4, 10, 20):
        written = Counter(text[0] for text in asked(mixed(parts, count=count)))
        assert written == {"a": count - round(count / 4), "b": round(count / 4)}
    assert Counter(text[0] for text in asked(mixed(parts))) == {"a": 27, "b": 9}


def test_a_prompt_of_two_parts_is_taken_once(parts):
    texts = asked(mixed(parts[::-1]))
    assert len(texts) == len(set(texts))


def test_which_prompts_are_taken_is_drawn_from_the_seed(parts):
    one, other = (mixed(parts, seed, count=8) for seed in (0, 1))
    assert one.equals(mixed(parts, 0, count=8))
    assert asked(one) != asked(other)


def test_too_few_prompts_for_a_share_are_told(parts):
    with pytest.raises(DataError, match=r"Part 2 .*b\.jsonl\) has 9 .*share of 44 is 11\. Lower"):
        mixed(parts, count=44)


def test_a_system_message_goes_before_prompts_that_bring_none(parts, write):
    own = write("c.jsonl", [{"prompt": "c", "system": "Own."}, {"prompt": "d"}])
    parts = [parts[0] | {"system": "Of a."}, {"params": {"path": str(own)}}]
    table = mixed(parts, system="Of all.")
    said = {messages[-1]["content"][0]: messages[0]["content"] for messages in table["prompt"]}
    assert said == {"a": "Of a.", "c": "Own.", "d": "Of all."}
    assert all([m["role"] for m in messages] == ["system", "user"] for messages in table["prompt"])


def test_files_of_parts_count_by_content_and_start_from_the_configs_folder(
    tmp_path, monkeypatch, write
):
    write("a.jsonl", [{"prompt": f"a {i}"} for i in range(4)])
    (tmp_path / "r.csv").touch()
    (tmp_path / "model").mkdir()
    prompts = {"source": "mixture", "params": {"parts": [{"params": {"path": "a.jsonl"}}]}}
    (tmp_path / "run.yaml").write_text(
        yaml.safe_dump({"flow": "align", **FLOWS["align"], "prompts": prompts})
    )
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    here = load_run("../run.yaml", {})[1]
    key, digest = here.prompts.key_part(), here.digest
    assert asked(here.prompts.member()(0)) == ["a 0", "a 1", "a 2", "a 3"]
    assert "a.jsonl" not in str(key)
    monkeypatch.chdir(tmp_path)
    there = load_run("run.yaml", {})[1]
    assert (there.prompts.key_part(), there.digest) == (key, digest)
    write("a.jsonl", [{"prompt": "other"}])
    assert there.prompts.key_part() != key


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"params": {"path": "a.jsonl"}, "shares": 2}, "Did you mean 'share'"),
        ({"source": "files", "params": {}}, "Unknown prompt source 'files'"),
        ({"params": {"path": "a.jsonl"}, "share": 0}, "greater than 0"),
    ],
)
def test_a_wrong_part_is_told_before_a_run(part, said):
    prompts = {"source": "mixture", "params": {"parts": [part]}}
    with pytest.raises(ValueError, match=said):
        CONFIGS["align"].model_validate(FLOWS["align"] | {"prompts": prompts})


def test_a_part_that_is_not_there_is_told_before_a_run():
    config = PromptsConfig(source="mixture", params={"parts": [{"params": {"path": "no.jsonl"}}]})
    with pytest.raises(DataError, match=r"no\.jsonl"):
        list(config.check())


def test_a_mixture_may_hold_what_other_sources_make():
    parts = [{"source": "helpdesk", "params": {"count": 8}}]
    assert mixed(parts, count=2).height == 2
