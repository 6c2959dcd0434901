"""GGUF files: one file with weights, tokenizer and chat template, as llama.cpp has them.

They are unpacked once, into a model folder with float32 weights: blocks of a few bits hold no step
of training. What their quantisation lost stays lost.
"""

import io
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import import_extra, no_extra
from prefopt_core.ground.files import explained
from prefopt_core.models.folder import NO_CODE
from prefopt_core.models.loading import load_weights

_EXTRA = ("gguf", "gguf")


def is_gguf(path: str) -> bool:
    """Whether a config names a GGUF file, there or not."""
    return path.endswith(".gguf")


def check_gguf(file: Path, *, has_template: bool) -> Iterator[str]:
    """Look at a file's header; yields what is doubtful.

    Args:
        file: The file.
        has_template: Whether the config brings a chat template.

    Raises:
        ConfigError: There is no such file, or none that can be unpacked and prompted.
    """
    told = _header(file)
    if int(told.get("split.count", 1)) > 1:
        raise ConfigError(
            f"{file} is one of {told['split.count']} parts. Join them first: "
            "`llama-gguf-split --merge FIRST-PART.gguf WHOLE.gguf` of llama.cpp."
        )
    if "tokenizer.ggml.model" not in told:
        raise ConfigError(f"{file} has no tokenizer. Give a GGUF file of a language model.")
    if not has_template and not told.get("tokenizer.chat_template"):
        raise ConfigError(
            f"{file} has no chat template. Set `policy.params.chat_template` to 'plain' (a base "
            "model: prompts are continued as they are) or to a Jinja file."
        )
    yield from no_extra(*_EXTRA)


def _header(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ConfigError(
            f"There is no file {str(file)!r}. Check `policy.params.path`; of a GGUF repository on "
            "the hub, download the one file: `hf download OWNER/NAME FILE.gguf --local-dir .`"
        )
    from transformers.integrations.gguf.reader import read_gguf_metadata

    try:
        told: dict[str, Any] = read_gguf_metadata(str(file))[0]
    except Exception as error:  # a file that is cut off raises errors of many kinds
        raise ConfigError(f"{file} is no whole GGUF file ({error}). Download it again.") from error
    return told


def unpack(file: Path, output: Path) -> None:
    """Write a model folder with a GGUF file's weights in float32, its tokenizer and template.

    Args:
        file: The file.
        output: The folder to fill.

    Raises:
        ConfigError: transformers does not know the architecture, or cannot read the file.
        MissingExtraError: The package `gguf` is not installed.
    """
    import_extra(*_EXTRA)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        with redirect_stderr(io.StringIO()):  # a progress bar that no setting turns off
            model = load_weights(
                AutoModelForCausalLM,
                file.parent,
                gguf_file=file.name,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
            )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, **NO_CODE)
    except Exception as error:  # its readers raise errors of many kinds
        raise ConfigError(
            f"{file} cannot be unpacked: {error.__cause__ or error} Give the model's own folder "
            "or hub id, with safetensors."
        ) from error
    with explained(output):
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)
