"""Embedder `hashing`: hashed character n-grams; no model, equal vectors on every machine."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt


def embed(texts: Sequence[str], *, dimensions: PositiveInt = 512) -> npt.NDArray[np.float32]:
    """Count hashed character 3- to 5-grams: measures shared wording, not meaning.

    Args:
        texts: The texts to embed.
        dimensions: Numbers in a vector; the fewer, the more n-grams share one.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=dimensions, norm="l2"
    )
    return vectorizer.transform(texts).toarray().astype(np.float32)
