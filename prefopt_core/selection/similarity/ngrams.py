"""Similarity by shared wording, computed by sacrebleu: no embeddings, no model.

Both are asymmetric: entry [i, j] takes the selected response j as hypothesis and response i as its
reference, as in minimum Bayes risk decoding, from which AEPO comes (arXiv:2405.13541).
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeInt

Tokenizer = Literal["13a", "intl", "char", "zh", "none"]


class _Metric(Protocol):
    def sentence_score(self, hypothesis: str, references: Sequence[str]) -> "_Score": ...


class _Score(Protocol):
    score: float


def bleu(
    responses: Sequence[str],
    embeddings: npt.NDArray[np.floating] | None,
    *,
    tokenize: Tokenizer = "13a",
) -> npt.NDArray[np.float64]:
    """Sentence BLEU of every pair, 0 to 1; `char` or `zh` where words have no spaces.

    Args:
        responses: The N texts.
        embeddings: Not used: texts are compared.
        tokenize: What words are, by sacrebleu's name: `13a` the usual of WMT, `intl` splits off all
            Unicode punctuation, `char` every character, `zh` every Chinese character, `none` what
            stands between spaces.
    """
    from sacrebleu.metrics.bleu import BLEU

    # Effective order: a reply of three words has no 4-grams; its score leaves them out.
    return _every_pair(responses, BLEU(effective_order=True, tokenize=tokenize))


def chrf(
    responses: Sequence[str],
    embeddings: npt.NDArray[np.floating] | None,
    *,
    word_order: NonNegativeInt = 0,
) -> npt.NDArray[np.float64]:
    """Character n-gram F-score of every pair, 0 to 1; `word_order: 2` is chrF++.

    Args:
        responses: The N texts.
        embeddings: Not used: texts are compared.
        word_order: Length of the longest word n-grams counted beside those of characters; 0: none.
    """
    from sacrebleu.metrics.chrf import CHRF

    return _every_pair(responses, CHRF(word_order=word_order))


def _every_pair(responses: Sequence[str], metric: _Metric) -> npt.NDArray[np.float64]:
    scores = [
        [metric.sentence_score(hypothesis, [reference]).score for hypothesis in responses]
        for reference in responses
    ]
    return np.array(scores) / 100.0
