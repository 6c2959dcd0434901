"""Choosing among given embeddings: `prefopt pool --vectors`, and the index in the store."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest

from prefopt_core.embedding.hashing import embed
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.store.store import Store


@pytest.mark.parametrize("strata", [[], ["--strata", "topic"]], ids=["whole", "strata"])
@pytest.mark.parametrize("strategy", POOL_STRATEGIES)
def test_vectors_are_chosen_from_like_their_texts(
    choose, prompts, vectors, strategy, strata, questions
):
    options = ["--strategy", strategy, *strata]
    from_texts, figures = choose(prompts("jsonl"), *options)
    texts, topics = zip(*questions, strict=True)
    file = vectors(text=pa.array(texts), topic=pa.array(topics))
    from_vectors, printed = choose(file, "--vectors", "v", *options)
    assert from_vectors["text"].to_list() == from_texts["prompt"].to_list()
    assert from_vectors["weight"].equals(from_texts["weight"])
    assert from_vectors.columns == ["rank", "row", "weight", "text", "topic"]
    assert [texts[row] for row in from_vectors["row"]] == from_vectors["text"].to_list()
    assert printed.partition("\n\n")[2] == figures.partition("\n\n")[2]


def test_vectors_of_any_length_are_chosen_from_alike(choose, vectors, questions):
    rows = embed([text for text, _ in questions])
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
    monkeypatch.setattr("prefopt_core.pool.summary.MEASURED", 40)
    _, printed = choose(vectors(), "--vectors", "v")
    assert "measured on 40 rows" in printed


def test_of_many_strata_the_largest_are_told(choose, vectors, monkeypatch, questions):
    monkeypatch.setattr("prefopt_core.pool.summary.SHOWN", 2)
    names = pa.array(["[b]" if i % 2 else f"small {i}" for i in range(len(questions))])
    _, printed = choose(vectors(s=names), "--vectors", "v", "--strata", "s", "--rule", "equal")
    assert re.search(r"\nstratum .+\n\S.+\n\S.+\n… and \d smaller ones\n", printed)
    _, printed = choose(vectors(s=names), "--vectors", "v", "--strata", "s")
    assert "\n[b] " in printed  # not taken for markup


def test_a_column_of_ours_in_the_file_is_kept(choose, vectors, questions):
    n = len(questions)
    file = vectors(row=pa.array(range(100, 100 + n)), stratum=pa.array(["x"] * n))
    chosen, _ = choose(file, "--vectors", "v")
    assert chosen["row_of_file"].equals(chosen["row"] + 100, check_names=False)
    assert set(chosen["stratum"]) == {"x"}


@pytest.mark.parametrize("output", ["chosen.csv", "chosen.jsonl", "chosen.parquet"])
def test_lists_survive_any_kind_of_file(choose, vectors, output, questions):
    tags = [[f"tag {i}", 'a "b"'] for i in range(len(questions))]
    chosen, _ = choose(vectors(tags=pa.array(tags)), "--vectors", "v", output=output)
    read = json.loads if output == "chosen.csv" else list
    assert [read(found) for found in chosen["tags"]] == [tags[row] for row in chosen["row"]]


def test_binary_needs_parquet(choose, refused, vectors, questions):
    file = vectors(image=pa.array([b"\x00"] * len(questions)))
    assert "cannot hold 'image' of " in refused(file, "--vectors", "v")
    assert len(choose(file, "--vectors", "v")[0]) == 10


def test_a_second_run_on_vectors_comes_from_the_store(choose, vectors, questions):
    topic = pa.array([topic for _, topic in questions])
    choose(vectors(topic=topic), "--vectors", "v")
    _, printed = choose(vectors(topic=topic), "--vectors", "v")
    assert (printed.count("●"), printed.count("○")) == (2, 0)
    _, printed = choose(vectors(topic=topic), "--vectors", "v", "--strata", "topic")
    assert re.search(r"● index_file.+\n○ choose_rows", printed)


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
def test_a_bad_vector_ends_in_one_line(refused, vectors, questions, value, said):
    rows = embed([text for text, _ in questions], dimensions=8).tolist()
    rows[50] = value
    column = np.empty(len(rows), dtype=object)
    column[:] = rows
    assert said in refused(vectors(column), "--vectors", "v")


def test_a_bad_file_of_vectors_ends_in_one_line(refused, vectors, tmp_path, questions):
    file = vectors(tags=pa.array([["a"]] * len(questions)))
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
