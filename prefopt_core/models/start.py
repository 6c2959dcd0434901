"""The start policy: imported from a model folder, GGUF file or hub id, or made by a bench world."""

import logging
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import InputPath, Registry
from prefopt_core.models.adapters import ADAPTER
from prefopt_core.models.fitness import check_model_folder, doubts_about
from prefopt_core.models.folder import check_model
from prefopt_core.models.gguf import check_gguf, is_gguf, unpack
from prefopt_core.models.tokens import PLAIN_TEMPLATE, load_tokenizer

log = logging.getLogger(__name__)

PolicySource = Callable[..., None]
"""`(output, work, seed, *, **params) -> None`; fills the folder `output`."""

POLICIES: Registry[PolicySource] = Registry(
    "policy source",
    {
        "helpdesk": "prefopt_core.worlds.helpdesk.pretraining:pretrain",
        "pretrained": "prefopt_core.models.start:import_model",
        "smollm": "prefopt_core.worlds.smollm.start:unpack",
    },
    "prefopt.policies",
)

_NOT_MODEL = (
    "*.bin", "*.pt", "*.pth", "*.msgpack", "*.h5", "*.onnx", "*.gguf", "original/*", ".*",
)  # fmt: skip


def import_model(
    output: Path,
    work: Path,
    seed: int,
    *,
    path: InputPath,
    revision: str | None = None,
    chat_template: InputPath | None = None,
) -> None:
    """Take a model: a folder, GGUF file or hub id; `chat_template`: 'plain' or a Jinja file.

    The files are symbolic links, not copies; only safetensors weights are taken, never pickled
    ones. A GGUF file is unpacked, once.

    Args:
        output: The folder to fill.
        work: Not used: nothing is trained.
        seed: Not used: nothing is drawn.
        path: Folder with config.json, tokenizer and `*.safetensors`, a `.gguf` file, whose weights
            become float32, or a hub id.
        revision: Branch, tag or commit on the hub, the default branch if null; not used for a
            folder or file.
        chat_template: 'plain': prompts are continued as they are, for a base model; or a Jinja
            file; null: the model's own.

    Raises:
        ConfigError: There is no such model, it is an unmerged adapter or has no safetensors
            weights, it has no usable tokenizer, its parts do not fit each other, or
            `chat_template` is neither 'plain' nor a file.
        MissingExtraError: It is a GGUF file, and the package `gguf` is not installed.
    """
    local = Path(path).is_dir()
    if is_gguf(path) and not local:
        list(check_gguf(Path(path), has_template=chat_template is not None))
        unpack(Path(path), output)
        source = output
    else:
        source = Path(path).resolve() if local else _download(path, revision)
        _link(source, path, output)
    if chat_template is not None:
        _set_template(output, chat_template)
    # Check all of it now, not an hour later, under the path the user gave.
    check_model_folder(source)
    load_tokenizer(output if chat_template else source)
    if not local:  # the doubts about a folder are told before a run
        for doubt in doubts_about(source):
            log.warning("%s: %s", path, doubt)
    load_tokenizer.cache_clear()  # the folder is about to move into the store


def _link(source: Path, path: str, output: Path) -> None:
    _check_folder(source, path)
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        name = file.relative_to(source)
        if not any(name.match(pattern) for pattern in _NOT_MODEL):
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            (output / name).symlink_to(file.resolve())


def check_import_model(*, path: str, chat_template: str | None) -> Iterator[str]:
    """See whether model and chat template are there and fit each other, without loading weights.

    Raises:
        ConfigError: As for `import_model`.
    """
    source = Path(path)
    if source.is_dir():
        _check_folder(source, path)
    if is_gguf(path) and not source.is_dir():
        yield from check_gguf(source, has_template=chat_template is not None)
    else:
        yield from check_model(path, "policy.params.path")
    if chat_template is not None:
        _template(chat_template)
    if source.is_dir():
        check_model_folder(source)
        if chat_template is None:
            load_tokenizer(source)
        yield from doubts_about(source)


def _check_folder(source: Path, path: str) -> None:
    if (source / ADAPTER).is_file():
        raise ConfigError(
            f"{path} has an adapter ({ADAPTER}). Give `policy.params.path` whole weights: those of "
            "a policy in the store by `prefopt export FOLDER --policy`, others by PEFT's "
            "`merge_and_unload`."
        )
    if not (source / "config.json").is_file() or not any(source.glob("*.safetensors")):
        raise ConfigError(
            f"{path} is not a model folder: it needs config.json and *.safetensors"
            f"{_instead(source, path)}. Give `policy.params.path` a folder made by "
            "`save_pretrained`, a .gguf file, or a hub id."
        )


def _instead(source: Path, path: str) -> str:
    """What a folder has in place of safetensors, and what to do with that."""
    if files := sorted(source.glob("*.gguf")):
        return f"; it has {files[0].name}: give the path of that file"
    if any(source.glob("*.bin")):
        convert = (
            "from transformers import AutoModelForCausalLM as M; "
            f"M.from_pretrained({path!r}).save_pretrained({path!r})"
        )
        return (
            "; pickled weights (*.bin) could run code and are not read. If you trust them, convert "
            f"them once: `python -c {shlex.quote(convert)}`"
        )
    return "" if Path(path).is_dir() else "; weights in *.bin or *.gguf are not downloaded"


def _download(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    log.info("%s is taken from the hub: what is not on this machine yet is downloaded.", repository)
    try:
        return Path(
            snapshot_download(repository, revision=revision, ignore_patterns=list(_NOT_MODEL))
        )
    except (OSError, HFValidationError) as error:
        raise ConfigError(
            f"There is no folder {repository!r}, and the hub does not give a model of that name "
            f"({error}). Check `policy.params.path`, the network and your access."
        ) from error


def _set_template(folder: Path, chat_template: str) -> None:
    text = _template(chat_template)
    template = folder / "chat_template.jinja"
    template.unlink(missing_ok=True)
    template.write_text(text)


def _template(chat_template: str) -> str:
    if chat_template == "plain":
        return PLAIN_TEMPLATE
    if not Path(chat_template).is_file():
        raise ConfigError(
            f"policy.params.chat_template is {chat_template!r}: neither 'plain' nor a file."
        )
    return Path(chat_template).read_text()
