"""Choosing among prompts: `prefopt pool` on a file of them."""

import json
import re

import polars as pl
import pytest

from prefopt_core.ground.ids import prompt_id_of
from prefopt_core.pool import POOL_STRATEGIES


def test_every_kind_of_file_gives_the_same_choice(choose, prompts, questions):
    chosen = [
        choose(prompts(ending), output=f"chosen.{ending}")[0]
        for ending in ("csv", "jsonl", "parquet")
    ]
    assert chosen[0].columns == ["rank", "weight", "prompt", "prompt_id"]
    assert chosen[0]["rank"].to_list() == list(range(10))
    assert chosen[0]["prompt"].is_in([text for text, _ in questions]).all()
    assert chosen[0]["prompt"].n_unique() == 10
    assert chosen[0].equals(chosen[1])
    assert chosen[1].equals(chosen[2])


@pytest.mark.parametrize("strategy", POOL_STRATEGIES)
def test_every_strategy_chooses(choose, prompts, strategy):
    chosen, printed = choose(prompts("jsonl"), "--strategy", strategy)
    assert chosen["prompt"].n_unique() == 10
    assert "10 of 81 distinct prompts in " in printed
    assert re.search(r"\nmean best cosine +0\.\d{3} +0\.\d{3}\n", printed)


def test_strata_have_their_shares(choose, prompts, questions):
    chosen, printed = choose(prompts("csv"), "--strata", "topic", count=9)
    topics = dict(questions)
    assert [topics[text] for text in chosen["prompt"]] == chosen["stratum"].to_list()
    assert dict(chosen["stratum"].value_counts().iter_rows()) == {
        "mail": 3,
        "network": 2,
        "printer": 4,
    }
    lines = printed[printed.index("\nstratum") :].splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [
        ["stratum", "chosen"],
        ["printer", "4"],
        ["mail", "3"],
        ["network", "2"],
    ]
    assert len({re.match(r"\S+ +\S+", line).end() for line in lines}) == 1  # aligned
    assert all("no set of" in line for line in lines[1:])
    equal, _ = choose(prompts("csv"), "--strata", "topic", "--rule", "equal", count=9)
    assert set(equal["stratum"].value_counts()["count"]) == {3}


def test_near_duplicates_stand_for_each_other(choose, prompts):
    merged, _ = choose(prompts("jsonl"), "--near-duplicates", 0.6)
    apart, printed = choose(prompts("jsonl"), "--near-duplicates", 1)
    assert merged["weight"].max() > 1
    assert set(apart["weight"]) == {1.0}
    assert "near_duplicates 0.6 → none" in printed


def test_prompts_that_repeat_are_one(choose, prompts, write, rows):
    chosen, _ = choose(prompts("jsonl"))
    repeated, printed = choose(write("twice.jsonl", [rows[7], *rows, *rows[::-1]][1:]))
    assert repeated.equals(chosen)
    assert "of 81 distinct prompts" in printed


def test_what_was_chosen_are_prompts_again(choose, prompts, tmp_path):
    first, _ = choose(prompts("jsonl"), "--strata", "topic", output="chosen.jsonl")
    again, _ = choose(tmp_path / "chosen.jsonl", "--strata", "stratum", count=10)
    assert set(again["prompt_id"]) == set(first["prompt_id"])


def test_conversations_are_written_whole(choose, write, tmp_path, questions):
    def messages(text):
        return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]

    file = write("chats.jsonl", [{"prompt": messages(text)} for text, _ in questions])
    rows, _ = choose(file, output="chosen.jsonl")
    assert [prompt_id_of(prompt) for prompt in rows["prompt"]] == rows["prompt_id"].to_list()
    csv, _ = choose(file, output="chosen.csv")
    assert [json.loads(prompt) for prompt in csv["prompt"]] == rows["prompt"].to_list()


def test_another_column_can_hold_the_prompts(choose, refused, write, questions):
    file = write("questions.jsonl", [{"question": text} for text, _ in questions])
    assert "Set `--column` to the one with the prompt." in refused(file)
    assert len(choose(file, "--column", "question")[0]) == 10


def test_a_second_run_comes_from_the_store(choose, prompts):
    first, printed = choose(prompts("jsonl"))
    assert printed.count("○") == 4
    second, printed = choose(prompts("jsonl"), output="again.parquet")
    assert second.equals(first)
    assert (printed.count("●"), printed.count("○")) == (4, 0)
    third, printed = choose(prompts("jsonl"), count=12)
    assert (printed.count("●"), printed.count("○")) == (3, 1)  # only choosing
    assert third["prompt"][:10].equals(first["prompt"])


def test_without_a_name_the_rows_go_beside(prefopt, store, prompts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = prompts("jsonl")
    assert prefopt("pool", file, "--count", 3, "--embedder", "hashing")[0] == 0
    assert len(pl.read_csv(tmp_path / "prompts.chosen.csv")) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--count", 82], "count=82 of 81 prompts"),
        (["--count", 0], "count: Input should be greater than or equal to 1"),
        (["--count", 70, "--near-duplicates", 0.5], "distinct rows (81 with near-duplicates)"),
        (["--strata", "source"], "no column 'source' with its stratum among 'prompt', 'topic'"),
        (["--rule", "even"], "rule: Input should be 'proportional', 'equal' or 'square_root'"),
        (["--near-duplicates", 1.5], "--near-duplicates: Input should be less than"),
        (["--near-duplicates", -0.5], "--near-duplicates: Input should be greater than 0"),
        (["--near-duplicates", "nan"], "--near-duplicates: "),
        (["--strategy", "coresets"], "Did you mean 'coreset'?"),
        (["--embedder", "hash"], "Did you mean 'hashing'?"),
        (["--column", "text"], "no column 'text' among"),
        (["--vectors", "v"], "cannot be read as Parquet"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_bad_option_ends_in_one_line(refused, prompts, options, said):
    assert said in refused(prompts("jsonl"), *options)


def test_a_bad_output_is_told_before_the_work(prefopt, store, prompts, tmp_path):
    file = prompts("jsonl")
    before = file.read_bytes()
    for name, said in (("chosen.txt", "must end in"), (file.name, "would replace what is read")):
        code, printed, error = prefopt("pool", file, "--count", 3, "--output", tmp_path / name)
        assert (code, printed) == (2, "")
        assert said in error
    assert file.read_bytes() == before
    assert not store.root.exists()


def test_a_row_without_a_stratum_is_told(refused, write, rows):
    rows = [*rows[:20], {"prompt": "And what now?", "topic": None}, *rows[20:]]
    assert "prompts.jsonl, line 21: no stratum in 'topic'" in refused(
        write("prompts.jsonl", rows), "--strata", "topic"
    )
