"""Whether a model is where a config says, as far as can be seen without loading it."""

import os
from collections.abc import Iterator
from pathlib import Path

from prefopt_core.ground.errors import ConfigError

_TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
    "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip


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
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ConfigError(
            f"{path} has no tokenizer ({', '.join(_TOKENIZERS[:3])}). Save it there, too: "
            "`tokenizer.save_pretrained(folder)`."
        )


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
