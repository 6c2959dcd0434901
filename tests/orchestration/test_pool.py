"""Choosing among many prompts: `prefopt pool` on files, and `pool` in the config of a run."""

import json
import re

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefopt_core.embedding.hashing import embed
from prefopt_core.experiments import FLOWS
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.store import Store
from prefopt_core.tables import prompt_id_of
from tasks.prompts import draw_prompts, load_preferences, load_prompts
from tasks.stage import Session, session

TOPICS = {
    "mail": ["password", "inbox", "spam filter"],
    "network": ["wifi", "router"],
    "printer": ["paper jam", "toner", "scanner", "tray"],
}
TEXTS = [
    (f"How do I {verb} my {thing}{end}", topic)
    for end in ("?", " at home?", " in the office?")
    for topic, things in TOPICS.items()
    for thing in things
    for verb in ("fix", "replace", "find")
]
ROWS = [{"prompt": text, "topic": topic} for text, topic in TEXTS]


@pytest.fixture
def choose(prefopt, store, tmp_path):
    """Run `prefopt pool` on a file; returns what it wrote and what it printed."""

    def choose(file, *options, output="chosen.parquet", count=10):
        path = tmp_path / output
        arguments = ["--count", count, "--output", path, "--embedder", "hashing", *options]
        code, printed, error = prefopt("pool", file, *arguments)
        assert (code, error) == (0, "")
        return READERS[path.suffix](path), printed

    return choose


READERS = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}


@pytest.fixture
def refused(prefopt, store, tmp_path):
    """Run `prefopt pool` on a file where it must end in one line; returns that line."""

    def refused(file, *options):
        output = tmp_path / "refused" / "chosen.csv"
        arguments = ["--count", 10, "--output", output, "--embedder", "hashing", *options]
        code, printed, error = prefopt("pool", file, *arguments)
        assert code == 2
        assert error.startswith("prefopt: ")
        assert error.count("\n") == 1, error
        assert "Traceback" not in error + printed
        assert not output.parent.exists()
        return error

    return refused


# --- prompts ----------------------------------------------------------------------------------


@pytest.fixture
def prompts(write):
    """The same prompts as a file of any ending."""

    def prompts(ending):
        if ending == "csv":
            lines = "".join(f"{row['prompt']},{row['topic']}\n" for row in ROWS)
            return write("prompts.csv", "prompt,topic\n" + lines)
        return write(f"prompts.{ending}", ROWS)

    return prompts


def test_every_kind_of_file_gives_the_same_choice(choose, prompts):
    chosen = [
        choose(prompts(ending), output=f"chosen.{ending}")[0]
        for ending in ("csv", "jsonl", "parquet")
    ]
    assert chosen[0].columns == ["rank", "weight", "prompt", "prompt_id"]
    assert chosen[0]["rank"].to_list() == list(range(10))
    assert chosen[0]["prompt"].is_in([text for text, _ in TEXTS]).all()
    assert chosen[0]["prompt"].n_unique() == 10
    assert chosen[0].equals(chosen[1])
    assert chosen[1].equals(chosen[2])


@pytest.mark.parametrize("strategy", POOL_STRATEGIES)
def test_every_strategy_chooses(choose, prompts, strategy):
    chosen, printed = choose(prompts("jsonl"), "--strategy", strategy)
    assert chosen["prompt"].n_unique() == 10
    assert "10 of 81 distinct prompts in " in printed
    assert re.search(r"\nmean best cosine +0\.\d{3} +0\.\d{3}\n", printed)


def test_strata_have_their_shares(choose, prompts):
    chosen, printed = choose(prompts("csv"), "--strata", "topic", count=9)
    topics = dict(TEXTS)
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


def test_prompts_that_repeat_are_one(choose, prompts, write):
    chosen, _ = choose(prompts("jsonl"))
    repeated, printed = choose(write("twice.jsonl", [ROWS[7], *ROWS, *ROWS[::-1]][1:]))
    assert repeated.equals(chosen)
    assert "of 81 distinct prompts" in printed


def test_what_was_chosen_are_prompts_again(choose, prompts, tmp_path):
    first, _ = choose(prompts("jsonl"), "--strata", "topic", output="chosen.jsonl")
    again, _ = choose(tmp_path / "chosen.jsonl", "--strata", "stratum", count=10)
    assert set(again["prompt_id"]) == set(first["prompt_id"])


def test_conversations_are_written_whole(choose, write, tmp_path):
    def messages(text):
        return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]

    file = write("chats.jsonl", [{"prompt": messages(text)} for text, _ in TEXTS])
    rows, _ = choose(file, output="chosen.jsonl")
    assert [prompt_id_of(prompt) for prompt in rows["prompt"]] == rows["prompt_id"].to_list()
    csv, _ = choose(file, output="chosen.csv")
    assert [json.loads(prompt) for prompt in csv["prompt"]] == rows["prompt"].to_list()


def test_another_column_can_hold_the_prompts(choose, refused, write):
    file = write("questions.jsonl", [{"question": text} for text, _ in TEXTS])
    assert "Set `column`" in refused(file)
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
        (["--near-duplicates", 1.5], "near_duplicates: Input should be less than"),
        (["--near-duplicates", -0.5], "near_duplicates: Input should be greater than 0"),
        (["--near-duplicates", "nan"], "near_duplicates: "),
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
    for name, said in (("chosen.txt", "must end in"), (file.name, "would replace the pool")):
        code, printed, error = prefopt("pool", file, "--count", 3, "--output", tmp_path / name)
        assert (code, printed) == (2, "")
        assert said in error
    assert file.read_bytes() == before
    assert not store.root.exists()


def test_a_row_without_a_stratum_is_told(refused, write):
    rows = [*ROWS[:20], {"prompt": "And what now?", "topic": None}, *ROWS[20:]]
    assert "prompts.jsonl, line 21: no stratum in 'topic'" in refused(
        write("prompts.jsonl", rows), "--strata", "topic"
    )


# --- vectors ----------------------------------------------------------------------------------


@pytest.fixture
def vectors(tmp_path):
    """Write the embeddings of the texts, or others, with more columns, as Parquet."""

    def vectors(rows=None, **columns):
        rows = embed([text for text, _ in TEXTS]) if rows is None else np.asarray(rows)
        if rows.dtype == object or rows.dtype.kind != "f":
            column = pa.array(rows.tolist())
        else:
            flat = pa.array(rows.astype(np.float32).ravel())
            column = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
        path = tmp_path / "vectors.parquet"
        pq.write_table(pa.table({"v": column, **columns}), path, row_group_size=30)
        return path

    return vectors


@pytest.mark.parametrize("strata", [[], ["--strata", "topic"]], ids=["whole", "strata"])
@pytest.mark.parametrize("strategy", POOL_STRATEGIES)
def test_vectors_are_chosen_from_like_their_texts(choose, prompts, vectors, strategy, strata):
    options = ["--strategy", strategy, *strata]
    from_texts, figures = choose(prompts("jsonl"), *options)
    texts, topics = zip(*TEXTS, strict=True)
    file = vectors(text=pa.array(texts), topic=pa.array(topics))
    from_vectors, printed = choose(file, "--vectors", "v", *options)
    assert from_vectors["text"].to_list() == from_texts["prompt"].to_list()
    assert from_vectors["weight"].equals(from_texts["weight"])
    assert from_vectors.columns == ["rank", "row", "weight", "text", "topic"]
    assert [texts[row] for row in from_vectors["row"]] == from_vectors["text"].to_list()
    assert printed.partition("\n\n")[2] == figures.partition("\n\n")[2]


def test_vectors_of_any_length_are_chosen_from_alike(choose, vectors):
    rows = embed([text for text, _ in TEXTS])
    unit, _ = choose(vectors(rows), "--vectors", "v")
    longer, _ = choose(vectors(rows * 4), "--vectors", "v")
    assert longer.equals(unit)


def test_figures_are_right_on_four_rows(choose, vectors):
    # Two directions; of the pair in each, cosines of .8. Nothing is chosen twice from one.
    rows = [[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 0.8, 0.6]]
    chosen, printed = choose(vectors(np.array(rows)), "--vectors", "v", count=2)
    assert sorted(chosen["row"] // 2) == [0, 1]
    lines = [line for line in printed.splitlines() if not line.startswith(("○", "●"))]
    head, _, names, *figures, _, proof = lines
    assert head.startswith("2 of 4 rows in ")
    assert names.split() == ["chosen", "at", "random"]
    told = {line[:22].strip(): line[22:].split()[0] for line in figures}
    assert told == {
        "mean best cosine": "0.900",
        "worst 1 - cosine": "0.200",
        "mean cosine of pairs": "0.000",
        "pairs of .95 or more": "0",
    }
    assert len({len(line) for line in (names, *figures)}) == 1
    assert proof.startswith("facility location 0.8999, no set of 2 exceeds ")  # of float16


def test_figures_count_near_duplicates(choose, vectors):
    rows = np.repeat(np.eye(3), 2, axis=0)
    options = ["--vectors", "v", "--near-duplicates", 1]
    _, printed = choose(vectors(rows), *options, count=6)
    assert re.search(r"\nmean best cosine +1.000 +1.000\n", printed)
    assert re.search(r"\npairs of .95 or more +3 +3\n", printed)
    merged, printed = choose(vectors(rows), "--vectors", "v", count=3)
    assert merged["weight"].to_list() == [2, 2, 2]
    assert re.search(r"\npairs of .95 or more +0 ", printed)


def test_figures_of_a_large_pool_are_of_a_part(choose, vectors, monkeypatch):
    monkeypatch.setattr("flows.verbs.pool.MEASURED", 40)
    _, printed = choose(vectors(), "--vectors", "v")
    assert "measured on 40 rows" in printed


def test_of_many_strata_the_largest_are_told(choose, vectors, monkeypatch):
    monkeypatch.setattr("flows.verbs.pool.SHOWN", 2)
    names = pa.array(["[b]" if i % 2 else f"small {i}" for i in range(len(TEXTS))])
    _, printed = choose(vectors(s=names), "--vectors", "v", "--strata", "s", "--rule", "equal")
    assert re.search(r"\nstratum .+\n\S.+\n\S.+\n… and \d smaller ones\n", printed)
    _, printed = choose(vectors(s=names), "--vectors", "v", "--strata", "s")
    assert "\n[b] " in printed  # not taken for markup


def test_a_column_of_ours_in_the_file_is_kept(choose, vectors):
    n = len(TEXTS)
    file = vectors(row=pa.array(range(100, 100 + n)), stratum=pa.array(["x"] * n))
    chosen, _ = choose(file, "--vectors", "v")
    assert chosen["row_of_file"].equals(chosen["row"] + 100, check_names=False)
    assert set(chosen["stratum"]) == {"x"}


@pytest.mark.parametrize("output", ["chosen.csv", "chosen.jsonl", "chosen.parquet"])
def test_lists_survive_any_kind_of_file(choose, vectors, output):
    tags = [[f"tag {i}", 'a "b"'] for i in range(len(TEXTS))]
    chosen, _ = choose(vectors(tags=pa.array(tags)), "--vectors", "v", output=output)
    read = json.loads if output == "chosen.csv" else list
    assert [read(found) for found in chosen["tags"]] == [tags[row] for row in chosen["row"]]


def test_binary_needs_parquet(choose, refused, vectors):
    file = vectors(image=pa.array([b"\x00"] * len(TEXTS)))
    assert "cannot hold 'image' of " in refused(file, "--vectors", "v")
    assert len(choose(file, "--vectors", "v")[0]) == 10


def test_a_second_run_on_vectors_comes_from_the_store(choose, vectors):
    topic = pa.array([topic for _, topic in TEXTS])
    choose(vectors(topic=topic), "--vectors", "v")
    _, printed = choose(vectors(topic=topic), "--vectors", "v")
    assert (printed.count("●"), printed.count("○")) == (2, 0)
    _, printed = choose(vectors(topic=topic), "--vectors", "v", "--strata", "topic")
    assert re.search(r"● index_file.+\n○ choose_rows", printed)


def broken(value):
    rows = embed([text for text, _ in TEXTS], dimensions=8).tolist()
    rows[50] = value
    column = np.empty(len(rows), dtype=object)
    column[:] = rows
    return column


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([0.0] * 8, "vectors.parquet, row 51: the vector in 'v' is zero"),
        ([float("nan")] * 8, "vectors.parquet, row 51: the vector in 'v' is zero, or holds"),
        ([1.0] * 7, "vectors.parquet, row 51: a vector of 7 numbers"),
        (None, "vectors.parquet, row 51: no vector in 'v'"),
    ],
    ids=["zero", "NaN", "ragged", "null"],
)
def test_a_bad_vector_ends_in_one_line(refused, vectors, value, said):
    assert said in refused(vectors(broken(value)), "--vectors", "v")


def test_a_bad_file_of_vectors_ends_in_one_line(refused, vectors, tmp_path):
    file = vectors(tags=pa.array([["a"]] * len(TEXTS)))
    assert "has no column 'w'. It has: v, tags." in refused(file, "--vectors", "w")
    assert "'tags' holds list" in refused(file, "--vectors", "tags")
    assert "has no column 'topic'" in refused(file, "--vectors", "v", "--strata", "topic")
    assert "'tags' holds list" in refused(file, "--vectors", "v", "--strata", "tags")
    assert "count=82 of 81 rows" in refused(file, "--vectors", "v", "--count", 82)
    assert "There is no file" in refused(tmp_path / "no.parquet", "--vectors", "v")
    assert not list(Store.open().manifests())  # all of this is told before the work


# --- the index in the store -------------------------------------------------------------------


def test_the_index_has_the_same_bytes_in_every_store(choose, vectors, store, other_store, contents):
    file = vectors()
    first, _ = choose(file, "--vectors", "v")
    other = other_store()
    second, printed = choose(file, "--vectors", "v")
    assert "●" not in printed
    assert second.equals(first)
    assert contents(other) == contents(store)
    assert any(name.endswith("/vectors.npy") for name in contents(other))


@pytest.mark.parametrize("name", ["vectors.npy", "nearest.npy"])
def test_a_damaged_index_is_made_again(choose, vectors, store, contents, name):
    file = vectors()
    first, _ = choose(file, "--vectors", "v")
    before = contents(store)
    (victim,) = (store.root / "objects").glob(f"*/*/{name}")
    damaged = bytearray(victim.read_bytes())
    damaged[-1] ^= 1
    victim.write_bytes(damaged)
    again, printed = choose(file, "--vectors", "v")
    assert "○ index_file" in printed
    assert "was damaged and is now in quarantine/" in printed
    assert "● choose_rows" in printed  # of the same index
    assert again.equals(first)
    assert contents(store) == before
    (kept,) = (store.root / "quarantine").iterdir()
    assert (kept / name).read_bytes() == damaged


# --- in the config of a run -------------------------------------------------------------------


class Listener:
    """Remembers the stages and what they returned."""

    def __init__(self):
        self.outcomes = []

    def started(self, stage): ...

    def progressed(self, stage, done, total): ...

    def finished(self, stage, outcome):
        self.outcomes.append((stage, outcome))

    def computed(self):
        return [stage for stage, outcome in self.outcomes if not outcome.cached]

    def tables(self, stage):
        read = Store.open().read
        return [read(outcome.value) for name, outcome in self.outcomes if name == stage]


@pytest.fixture
def listened(run):
    def listened(settings):
        listener = Listener()
        with session(Session(observer=listener)):
            run(settings)
        return listener

    return listened


@pytest.fixture
def aepo(given_candidates, write):
    """AEPO on candidates from a file: what concerns its prompts takes no time."""
    rows = [
        {"prompt": text, "topic": topic, "response": f"Answer {i} to: {text}"}
        for text, topic in TEXTS[:40]
        for i in range(3)
    ]
    params = {"path": str(write("candidates.jsonl", rows))}
    return given_candidates | {
        "generation": {"generator": "file", "params": params},
        "prompts": {"source": "file", "shard_size": 4, "params": dict(params)},
        "pool": {"count": 6, "embedding": {"embedder": "hashing"}},
        "budget": 100,
    }


def ids(tables):
    return [
        prompt_id
        for table in tables
        for prompt_id in table["prompt_id"].unique(maintain_order=True)
    ]


def test_aepo_generates_for_the_chosen_only(listened, aepo, store):
    heard = listened(aepo)
    (chosen,) = heard.tables("take_prompts")
    assert chosen.height == 6
    assert set(ids(heard.tables("generate"))) == set(chosen["prompt_id"])
    (choices,) = heard.tables("choose_prompts")
    (pool,) = heard.tables("draw_prompts")
    assert pool.height == 40
    assert chosen["prompt_id"].equals(pool["prompt_id"][choices["row"]])
    assert listened(aepo).computed() == []


def test_another_count_leaves_the_index_alone(listened, aepo, store):
    few = listened(aepo)
    aepo["pool"]["count"] = 8
    more = listened(aepo)
    assert more.computed()[:3] == ["choose_prompts", "take_prompts", "generate"]
    before, after = (heard.tables("take_prompts")[0]["prompt_id"] for heard in (few, more))
    assert after[:6].equals(before)  # the most wanted come first, whatever the count


def test_strata_of_a_run_have_their_shares(listened, aepo, store):
    aepo["prompts"]["params"]["stratum"] = "topic"
    aepo["pool"]["rule"] = "equal"
    (choices,) = listened(aepo).tables("choose_prompts")
    assert dict(choices["stratum"].value_counts().iter_rows()) == {
        "mail": 2,
        "network": 2,
        "printer": 2,
    }


def test_a_plan_shows_the_pool(prefopt, listened, aepo, config_file, store):
    file = config_file(aepo)
    _, planned, _ = prefopt("plan", file)
    stages = ["embed_prompts", "index_prompts", "choose_prompts", "take_prompts", "generate"]
    assert [s for s in re.findall(r"│ (\w+) +│ miss", planned) if s in stages] == stages
    listened(aepo)
    assert "miss" not in prefopt("plan", file)[1]
    _, planned, _ = prefopt("plan", file, "pool.count=8")
    assert re.search(r"index_prompts +│ hit", planned)
    assert re.search(r"choose_prompts +│ miss +│ count 6 → 8", planned)
    code, _, error = prefopt("plan", file, "pool.count=41")
    assert (code, "count=41 of 40 prompts" in error) == (2, True)


def test_pool_embedding_counts_where_it_matters(listened, aepo, store):
    listened(aepo)
    aepo["pool"]["embedding"]["params"] = {"dimensions": 64}
    assert listened(aepo).computed()[:3] == ["embed_prompts", "index_prompts", "choose_prompts"]


@pytest.fixture
def spa(settings, write):
    """Settings of SPA, whose labelled seed has two of the prompts."""
    seed = [
        {"prompt": f"How do I mend number {i}?", "chosen": "So.", "rejected": "Kick it!"}
        for i in range(2)
    ]
    left_out = ("annotation", "budget", "embedding")
    own = {"flow": "spa", "rounds": [{"prompts": 6}, {"prompts": 8}]}
    own["seed_preferences"] = {"path": str(write("seed.jsonl", seed))}
    return {name: s for name, s in settings.items() if name not in left_out} | own


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["align", "spa"])
def test_rounds_take_the_most_wanted_and_no_test_prompts(listened, request, settings, store, flow):
    settings = request.getfixturevalue("spa") if flow == "spa" else settings
    settings["pool"] = {"count": 14, "strategy": "coreset", "embedding": {"embedder": "hashing"}}
    config = FLOWS[flow][1].model_validate({n: s for n, s in settings.items() if n != "flow"})
    used = load_preferences(config.seed_preferences) if flow == "spa" else None
    all_prompts = load_prompts(config.prompts, 0)
    without_pool = draw_prompts(all_prompts, 0, 6, "evaluation", 4, 0, used)

    heard = listened(settings)
    test, pool = heard.tables("draw_prompts")
    assert test.equals(store.read(without_pool))
    rounds = heard.tables("take_prompts")
    assert [table.height for table in rounds] == [6, 8]
    (choices,) = heard.tables("choose_prompts")
    assert ids(rounds) == pool["prompt_id"][choices["row"]].to_list()
    assert not set(ids(rounds)) & set(test["prompt_id"])
    assert pool.height == 24 - test.height - (2 if flow == "spa" else 0)
    assert listened(settings).computed() == []


@pytest.mark.parametrize("flow", ["align", "spa"])
def test_a_pool_smaller_than_the_rounds_is_refused(prefopt, request, settings, config_file, flow):
    settings = request.getfixturevalue("spa") if flow == "spa" else settings
    settings["pool"] = {"count": 13}
    for verb in ("run", "plan"):
        code, _, error = prefopt(verb, config_file(settings))
        assert code == 2
        assert error == (
            "prefopt: pool.count is 13: the rounds want 14 prompts. Set `pool.count` to at least "
            "14, or lower `prompts` of the rounds.\n"
        )


def test_a_pool_larger_than_its_prompts_is_refused_before_embedding(prefopt, aepo, config_file):
    aepo["pool"]["count"] = 41
    code, printed, error = prefopt("run", config_file(aepo), "--no-server")
    assert code == 2
    assert "count=41 of 40 prompts" in error
    assert "embed" not in printed
