"""BERTScore: similarity by greedily matched token embeddings (arXiv:1904.09675)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from prefopt_core.ground.registry import InputPath, SpeedOnly
from prefopt_core.models.encoder import PACKAGED, load_encoder


def compare(
    responses: Sequence[str],
    embeddings: npt.NDArray[np.floating] | None,
    *,
    model: InputPath = PACKAGED,
    batch_size: SpeedOnly[PositiveInt] = 32,
    device: SpeedOnly[str] = "auto",
) -> npt.NDArray[np.float64]:
    """F1 of greedily matched token embeddings, no idf weights and no rescaling.

    P = mean over tokens of j of the best cosine among tokens of i, R the other way round,
    F1 = 2PR / (P + R) (eqs. 1-3 of the paper). The encoder sees every response once.

    Args:
        responses: The N texts.
        embeddings: Not used: texts are compared.
        model: A folder, a hub id, or all-MiniLM-L6-v2 from the extra `minilm`; of it the token
            embeddings are used.
        batch_size: Responses per forward pass.
        device: "cpu", "cuda", …; "auto": what sentence-transformers chooses, a GPU if there is one.
    """
    tokens = load_encoder(model, device).encode(
        list(responses),
        batch_size=batch_size,
        output_value="token_embeddings",
        show_progress_bar=False,
    )
    rows = [t.float().cpu().numpy() for t in tokens]
    rows = [t / np.linalg.norm(t, axis=1, keepdims=True) for t in rows]
    scores = np.ones((len(rows), len(rows)))
    for i, j in zip(*np.triu_indices(len(rows), 1), strict=True):
        match = rows[i] @ rows[j].T  # (T_i, T_j)
        recall, precision = match.max(axis=1).mean(), match.max(axis=0).mean()
        scores[i, j] = scores[j, i] = 2 * precision * recall / (precision + recall)
    return scores
