"""Similarity by wording and by matched tokens: known values, direction, registry."""

import numpy as np
import pytest
from pydantic import ValidationError
from sacrebleu import sentence_bleu, sentence_chrf

from prefopt_core.selection.settings import SimilarityConfig
from prefopt_core.selection.similarity import SIMILARITIES

TEXTS = ["the cat sat on the mat", "the cat sat", "dogs bark loudly at night", ""]


def test_entry_takes_the_selected_response_as_hypothesis():
    bleu = SIMILARITIES["bleu"](TEXTS, None)
    # row: reference, column: hypothesis; short against long pays the brevity penalty
    assert bleu[0, 1] == pytest.approx(np.exp(1 - 6 / 3))
    assert bleu[1, 0] == pytest.approx((3 / 6 * 2 / 5 * 1 / 4 * 1 / 6) ** 0.25, rel=0.01)
    expected = sentence_bleu(TEXTS[1], [TEXTS[0]], use_effective_order=True).score / 100
    assert bleu[0, 1] == pytest.approx(expected)


def test_chrf_is_that_of_sacrebleu():
    chrf = SIMILARITIES["chrf"](TEXTS, None, word_order=2)
    expected = sentence_chrf(TEXTS[1], [TEXTS[0]], word_order=2).score / 100
    assert chrf[0, 1] == pytest.approx(expected)


@pytest.mark.parametrize("measure", ["bleu", "chrf"])
def test_same_texts_are_alike_and_an_empty_one_is_like_none(measure):
    u = SIMILARITIES[measure](TEXTS, None)
    assert u.shape == (4, 4)
    assert u.diagonal()[:3] == pytest.approx(1.0)
    assert np.isfinite(u).all()
    assert not u[3, :3].any()
    assert not u[:3, 3].any()


def test_bertscore_knows_meaning():
    texts = ["He is happy.", "He is glad.", "The train leaves at nine."]
    u = SIMILARITIES["bertscore"](texts, None)
    assert np.array_equal(u, u.T)
    assert u.diagonal() == pytest.approx(1.0)
    assert u[0, 1] > max(u[0, 2], u[1, 2]) + 0.1


def test_settings_are_checked():
    with pytest.raises(ValidationError, match=r"no setting 'tokeniser'\. Did you mean 'tokenize'"):
        SimilarityConfig(measure="bleu", params={"tokeniser": "zh"})
    with pytest.raises(
        ValidationError, match=r"Unknown similarity measure 'blue'\. Did you mean 'ble"
    ):
        SimilarityConfig(measure="blue")


def test_file_of_a_function_is_part_of_the_key(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def u(texts): return 1")
    config = SimilarityConfig(measure="function", params={"function": f"{file}:u"})
    before = config.key_part()
    file.write_text("def u(texts): return 2")
    assert config.key_part() != before
