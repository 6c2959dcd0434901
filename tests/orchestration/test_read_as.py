"""`plan` and `select` say which columns were read as what, and refuse what is not certain."""

import json

import pytest

ROWS = {
    "": ["0", "1"], "instruction": ["Translate.", "Sing."], "input": ["Rot", ""],
    "gpt": ["Red apples.", "La la."], "llama_7b": ["Roses.", "Tra la."], "llama_8b": ["Red", "La"],
    "topic": ["colour", "music"],
}  # fmt: skip
READ = "prompt: 'instruction', 'input'; responses: {}; not read: {}"


@pytest.fixture
def pool(write):
    """A CSV as pandas writes it, with responses of three models."""
    lines = [ROWS.keys(), *zip(*ROWS.values(), strict=True)]
    return write("pool.csv", "\n".join(map(",".join, lines)) + "\n")


@pytest.fixture
def config(given_candidates, pool, config_file):
    def config(**params):
        given_candidates["generation"]["params"] = {"path": str(pool), **params}
        return config_file(given_candidates)

    return config


def test_plan_says_what_was_read(prefopt, store, config, pool):
    code, output, _ = prefopt("plan", config(responses=["gpt", "llama_*"]))
    assert code == 0
    read = READ.format("'gpt', 'llama_7b', 'llama_8b'", "'', 'topic'")
    assert f"{pool}: {read}\n" in output


def test_plan_refuses_what_is_not_certain_and_lists_what_would_be_taken(prefopt, store, config):
    code, output, error = prefopt("plan", config())
    assert (code, output) == (2, "")
    assert "which columns are responses? 'gpt', 'llama_7b', 'llama_8b', 'topic' could be" in error
    assert "`responses: [gpt, llama_7b, llama_8b, topic]`" in error


def test_plan_describes_prompts_and_pairs(prefopt, store, settings, config_file, write):
    path = write("p.jsonl", [{"prompt": f"Why {i}?", "topic": "a", "id": i} for i in range(24)])
    pairs = write("s.jsonl", [{"prompt": "Hi", "chosen": "Good.", "rejected": "Bad.", "by": "me"}])
    settings["prompts"]["params"] = {"path": str(path), "stratum": "topic"}
    _, output, _ = prefopt("plan", config_file(settings))
    assert f"{path}: prompt: 'prompt'; stratum: 'topic'; not read: 'id'\n" in output
    for name in ("annotation", "budget", "embedding", "rounds"):
        settings.pop(name)
    spa = {"flow": "spa", "seed_preferences": {"path": str(pairs)}, "rounds": [{"prompts": 4}]}
    code, output, error = prefopt("plan", config_file(settings | spa))
    assert error == ""
    assert code == 0
    assert f"{pairs}: prompt: 'prompt'; pair: 'chosen', 'rejected'; not read: 'by'\n" in output


def test_select_takes_the_declared_and_its_page_says_so(prefopt, store, pool, tmp_path):
    chosen = tmp_path / "chosen.jsonl"
    flags = ("--responses", "gpt", "--responses", "llama_*", "--embedder", "hashing")
    code, output, _ = prefopt("select", pool, *flags, "--k", 2, "--output", chosen)
    assert code == 0
    read = READ.format("'gpt', 'llama_7b', 'llama_8b'", "'', 'topic'")
    assert f"{pool}: {read}\n" in output
    assert read.replace("'", "&#39;") in chosen.with_suffix(".html").read_text()
    rows = [json.loads(line) for line in chosen.read_text().splitlines()]
    assert {row["prompt"] for row in rows} == {"Translate.\nRot", "Sing."}
    assert {row["model"] for row in rows} <= {"gpt", "llama_7b", "llama_8b"}


def test_select_reads_a_column_of_one_response_a_row(prefopt, store, write, tmp_path):
    rows = [
        {"question": f"Why {i}?", "output": f"Since {i} and {j}.", "model": "ab"[j]}
        for i in range(2)
        for j in range(2)
    ]
    path, chosen = write("alpaca.jsonl", rows), tmp_path / "chosen.csv"
    flags = ("--column", "question", "--responses", "output", "--embedder", "hashing")
    code, output, _ = prefopt("select", path, *flags, "--output", chosen)
    assert code == 0
    assert "4 of 4 responses to 2 prompts" in output
    assert chosen.read_text().count(",a,") == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"chosen": "Hi? Good.", "rejected": "Hi? Bad."}, "pairs without a prompt of their own"),
        ({"prompt": "Hi", "completion": "Good.", "label": True}, "This looks like KTO's rows"),
        ({"prompt": [{"role": "tool", "content": "x"}], "chosen": "a", "rejected": "b"}, "'tool'"),
    ],
)
def test_plan_refuses_pairs_that_are_none(prefopt, store, settings, config_file, write, row, said):
    for name in ("annotation", "budget", "embedding"):
        settings.pop(name)
    spa = {"flow": "spa", "seed_preferences": {"path": str(write("s.jsonl", [row]))}}
    code, output, error = prefopt(
        "plan", config_file(settings | spa | {"rounds": [{"prompts": 4}]})
    )
    assert (code, output) == (2, "")
    assert said in error


def test_what_is_read_is_not_written_over(prefopt, store, pool):
    before = pool.read_bytes()
    code, _, error = prefopt("select", pool, "--responses", "gpt", "--output", pool)
    assert code == 2
    assert "would replace what is read" in error
    assert pool.read_bytes() == before
