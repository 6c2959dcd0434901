"""Does a model folder hang together: config.json, tokenizer and weights, before any are loaded.

`check_model_folder` refuses what would fail late or be misread; `doubts_about` says what may be
meant so. Both read config.json, the tokenizer and the headers of the safetensors files.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefopt_core.ground.errors import ConfigError
from prefopt_core.models.folder import NO_CODE, refuse_code
from prefopt_core.models.tokens import any_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embed_in.weight",
    "tok_embeddings.weight",
)
"""Ends of the names that families give to the matrix of token embeddings."""

OTHER_TASKS = ("Classification", "MaskedLM", "QuestionAnswering", "ForPreTraining")
"""Ends of the names of architectures whose weights do not continue a text."""

ALWAYS_CAUSAL = ("gpt_neox", "gpt_neox_japanese", "trocr")
"""Families that have the setting `is_decoder` and do not look at it."""

IDS = ("pad_token_id", "eos_token_id", "bos_token_id")

SPARE = 1024
"""Embeddings without a token that may round a matrix to a size that is fast; more is doubtful."""

_MEANING = {
    "eos_token_id": "Sampled responses end at any of them; given ones get the tokenizer's.",
    "bos_token_id": "Prompts begin as the tokenizer and its chat template say.",
}

Shapes = Mapping[str, tuple[Path, list[int]]]
"""Name of a tensor → (its file, its shape)."""


def check_model_folder(folder: Path) -> None:
    """Check that a folder has a language model that continues texts, with a tokenizer that fits it.

    Args:
        folder: config.json, tokenizer and `*.safetensors`.

    Raises:
        ConfigError: It has not; the message says what does not fit, and what to do.
    """
    config = config_in(folder)
    generation_config_in(folder)
    _check_architecture(folder, config)
    rows = _check_embeddings(folder, config, shapes_in(folder))
    check_ids(folder, config, any_tokenizer(folder), rows)


def config_in(folder: Path) -> "PretrainedConfig":
    """The transformers config of a folder.

    Raises:
        ConfigError: transformers cannot read it.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, **NO_CODE)
    except Exception as error:  # its checks of values raise errors of many kinds
        refuse_code(folder, error)
        raise ConfigError(
            f"{folder / 'config.json'} is not the configuration of a model that this version of "
            f"transformers knows: {error}"
        ) from error


def generation_config_in(folder: Path) -> Any:
    """The `GenerationConfig` of a folder, None if it has none.

    Raises:
        ConfigError: transformers cannot read it.
    """
    from transformers import GenerationConfig

    file = folder / "generation_config.json"
    if not file.is_file():
        return None
    try:
        return GenerationConfig.from_pretrained(folder)
    except ValueError as error:
        raise ConfigError(f"{file} cannot be used: {error} Mend or delete it.") from error


def _check_architecture(folder: Path, config: "PretrainedConfig") -> None:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    named = getattr(config, "architectures", None) or []
    if any(task in name for name in named for task in OTHER_TASKS):
        raise ConfigError(
            f"The model in {folder} is a {', '.join(named)}, which does not continue texts. Give a "
            "causal language model; a classifier can be a reward model (`annotator: reward-model`)."
        )
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ConfigError(
            f"The model in {folder} is of type {config.model_type!r}, for which transformers has "
            "no causal language model (AutoModelForCausalLM). Give one that continues texts."
        )
    if _reads_both_ways(config):
        raise ConfigError(
            f"The model in {folder} ({config.model_type}) reads texts in both directions: each "
            "token's probability would be taken from what follows it. Give a model that continues "
            'texts, or set "is_decoder": true in its config.json if it was trained as one.'
        )


def _reads_both_ways(config: "PretrainedConfig") -> bool:
    """Whether it is an encoder that transformers would run as a causal model, future and all."""
    declared = inspect.get_annotations(type(config))
    switched = "is_decoder" in declared and config.model_type not in ALWAYS_CAUSAL
    return switched and not config.is_decoder and not config.is_encoder_decoder


def shapes_in(folder: Path) -> Shapes:
    """Every tensor of a folder's safetensors files, from their headers alone.

    Raises:
        ConfigError: A file is missing, cut off, or not in this form.
    """
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    wanted = {f.name for f in folder.glob("*.safetensors")}
    if index.is_file():
        wanted |= _listed(index)
    found: dict[str, tuple[Path, list[int]]] = {}
    for name in sorted(wanted):
        try:
            with safe_open(folder / name, "np") as file:
                names = file.keys()
                found |= {k: (folder / name, file.get_slice(k).get_shape()) for k in names}
        except FileNotFoundError as error:
            raise ConfigError(
                f"{folder} lacks {name}, which {index.name} lists. Download the model again."
            ) from error
        except SafetensorError as error:
            raise ConfigError(
                f"{folder / name} is no whole safetensors file ({error}). {_why_not(folder / name)}"
            ) from error
    return found


def _listed(index: Path) -> set[str]:
    """Names of the files that an index of weights lists; none may lie elsewhere."""
    try:
        names = {*json.loads(index.read_bytes())["weight_map"].values()}
        strays = [name for name in names if Path(name).name != name]
        if not strays:
            return names
        told = f"it lists {strays[0]!r}"
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        told = str(error)
    raise ConfigError(
        f"{index} is no list of the weight files beside it ({told}). Download the model again."
    )


def _why_not(file: Path) -> str:
    with file.open("rb") as content:
        if content.read(16).startswith(b"version https://"):
            return "It is a pointer of Git LFS: run `git lfs pull` where it came from."
    return "Download the model again."


def _check_embeddings(folder: Path, config: "PretrainedConfig", shapes: Shapes) -> int:
    """The number of token embeddings."""
    rows: int = config.get_text_config().vocab_size
    for name, (_, shape) in shapes.items():
        if name.endswith(EMBEDDINGS) and "vision" not in name and shape[0] != rows:
            raise ConfigError(
                f"The model in {folder} has {shape[0]} token embeddings ({name}) and a vocab_size "
                f"of {rows} in its config.json. Save both from the same model."
            )
    return rows


def check_ids(
    source: Path | str,
    config: "PretrainedConfig",
    tokenizer: "PreTrainedTokenizerBase",
    rows: int,
) -> None:
    """Check that each id of the tokenizer and of the configuration has an embedding.

    Args:
        source: The model's folder or hub id, for messages.
        config: Its config.
        tokenizer: Its tokenizer.
        rows: Its token embeddings.

    Raises:
        ConfigError: One has none.
    """
    beyond = sorted((i, token) for token, i in tokenizer.get_vocab().items() if i >= rows)
    if beyond:
        raise ConfigError(
            f"The tokenizer in {source} has {len(beyond)} tokens beyond the model's {rows} "
            f"embeddings, such as {beyond[0][1]!r} ({beyond[0][0]}). Enlarge the model with "
            "`model.resize_token_embeddings(len(tokenizer))` and train the new tokens, or take the "
            "tokenizer that the model came with."
        )
    for (file, settings), name in product(_settings_in(source, config).items(), IDS):
        wrong = [i for i in _ids(settings, name) if i >= rows]
        if wrong:
            raise ConfigError(
                f"{file} of {source} has {name} {wrong[0]}, and the model {rows} embeddings. "
                f"Set it to the tokenizer's ({getattr(tokenizer, name)}), or to null."
            )


def doubts_about(folder: Path) -> list[str]:
    """What does not agree in a folder that `check_model_folder` accepts, a sentence or two each."""
    config, tokenizer = config_in(folder), any_tokenizer(folder)
    text = config.get_text_config()
    doubts = []
    for file, settings in _settings_in(folder, config).items():
        for name in ("eos_token_id", "bos_token_id"):
            told, own = _ids(settings, name), getattr(tokenizer, name)
            if told and own is not None and own not in told:
                doubts.append(
                    f"{file} has {name} {', '.join(map(_named(tokenizer), told))}, the tokenizer "
                    f"{_named(tokenizer)(own)}. {_MEANING[name]}"
                )
    spare = text.vocab_size - 1 - max(tokenizer.get_vocab().values())
    if spare > SPARE:
        doubts.append(
            f"{spare} of the model's {text.vocab_size} embeddings belong to no token: a response "
            "that samples one loses it as text. Is the tokenizer the model's own?"
        )
    return [*doubts, *_untrained(tokenizer, shapes_in(folder))]


def _untrained(tokenizer: "PreTrainedTokenizerBase", shapes: Shapes) -> Iterator[str]:
    """The end token, if its embedding is zero or that of another special token."""
    import numpy as np
    from safetensors import safe_open

    place = next(((n, f) for n, (f, _) in shapes.items() if n.endswith(EMBEDDINGS)), None)
    end = tokenizer.eos_token_id
    if place is None or end is None:
        return
    others = [i for i in tokenizer.all_special_ids if i != end]
    with safe_open(place[1], "pt") as file:  # NumPy has no bfloat16
        matrix = file.get_slice(place[0])
        own = matrix[end : end + 1].float().numpy()
        same = [i for i in others if np.array_equal(matrix[i : i + 1].float().numpy(), own)]
    if same or not own.any():
        like = f"that of {_named(tokenizer)(same[0])}" if same else "zero"
        yield (
            f"The embedding of the end token {_named(tokenizer)(end)} is {like}: it was never "
            "trained, so responses may not end. Is this a base model with the template of another?"
        )


def _settings_in(source: Path | str, config: "PretrainedConfig") -> dict[str, Any]:
    """The files of a model that name control tokens, and what they set."""
    files: dict[str, Any] = {"config.json": config.get_text_config()}
    if generation := generation_config_in(Path(source)):
        files["generation_config.json"] = generation
    return files


def _ids(settings: Any, name: str) -> list[int]:
    """The ids of a setting that is one, several or none; a negative one means none."""
    value = getattr(settings, name, None)
    ids = value if isinstance(value, list) else [value]
    return [i for i in ids if isinstance(i, int) and i >= 0]


def _named(tokenizer: "PreTrainedTokenizerBase") -> Any:
    return lambda i: f"{tokenizer.convert_ids_to_tokens(i)!r} ({i})"
