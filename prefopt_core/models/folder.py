"""Whether a model is where a config says, as far as can be seen without loading it."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefopt_core.ground.errors import ConfigError

_TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
    "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip

NO_CODE: dict[str, Any] = {"trust_remote_code": False}
"""For everything that loads by `from_pretrained`: left out, transformers asks on the terminal
whether to run the code that a model brings, and takes a `y` from whatever stdin is."""


def refuse_code(source: Path | str, error: Exception) -> None:
    """Name the failure of loading a model that is of a type which only code of its own knows.

    Args:
        source: Its folder or hub id.
        error: What was raised; nothing happens if it is about something else.

    Raises:
        ConfigError: The model would have to run code.
    """
    if "trust_remote_code" in str(error):
        raise ConfigError(
            f"{source} can only be loaded by Python code that it brings (`auto_map`), which "
            "prefopt never runs. Give a model of a type that transformers knows itself, or have "
            "one with code served by a server of its own and ask that."
        ) from error


def check_model(path: str, setting: str) -> Iterator[str]:
    """See whether a model is there, as far as that can be seen; yields what is doubtful.

    Raises:
        ConfigError: There is no such folder and it cannot be a hub id, or the folder lacks files.
    """
    folder = Path(path)
    if not folder.is_dir():
        yield from _check_hub_id(path, setting)
        return
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{path} is not a model folder: it has no config.json. Give `{setting}` a folder made "
            "by `save_pretrained`, or a hub id."
        )
    _check_code(folder)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ConfigError(
            f"{path} has no tokenizer ({', '.join(_TOKENIZERS[:3])}). Save it there, too: "
            "`tokenizer.save_pretrained(folder)`."
        )


def _check_code(folder: Path) -> None:
    """See whether the configurations of a folder that bring code can be read without it."""
    for file, kind in (("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")):
        told: object = None
        with suppress(OSError, ValueError, RecursionError):  # told by who reads it
            told = json.loads((folder / file).read_bytes())
        if isinstance(told, dict) and "auto_map" in told:
            import transformers

            try:
                getattr(transformers, kind).from_pretrained(folder, **NO_CODE)
            except Exception as error:  # what else is wrong is told by who reads it
                refuse_code(folder, error)


def _check_hub_id(path: str, setting: str) -> Iterator[str]:
    from huggingface_hub import try_to_load_from_cache

    a_path = path.startswith((".", "~", "/")) or path.endswith("/") or path.count("/") > 1
    if a_path or not path or Path(path).exists():
        raise ConfigError(
            f"There is no folder {path!r}. Check `{setting}`: the path of a model folder, seen "
            f"from {os.getcwd()}, or a hub id such as owner/name."
        )
    if not isinstance(try_to_load_from_cache(path, "config.json"), str):
        yield (
            f"there is no folder {path!r}, so `{setting}` is taken for a hub id, which will be "
            "downloaded."
        )
