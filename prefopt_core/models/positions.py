"""How many tokens a model can read: its positions, whatever its family calls them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefopt_core.ground.errors import DataError
from prefopt_core.models.folder import NO_CODE

if TYPE_CHECKING:
    from transformers import PretrainedConfig

NAMES = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_length",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_target_positions",
)
"""Settings that say so; the least one of a model counts. `n_ctx` and others are their aliases."""

UNLIMITED = {"bloom", "mt5", "rwkv", "switch_transformers", "t5", "umt5"}
"""Families that count no positions, and whose settings do not say so."""

NOT_SCALED = {"default", "su", "longrope", "llama3", "mrope", "proportional"}
"""Kinds of rotary scaling whose models name the longer limit in their settings."""

PADDED = {
    "camembert",
    "data2vec-text",
    "longformer",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
"""Families whose positions are counted from behind the padding token's id."""


def positions_of(config: "PretrainedConfig") -> int | None:
    """The most tokens of a sequence; None: as many as one likes.

    Beyond them a model with learned positions fails, one with rotary positions reads what it never
    saw, without a word. A sliding window is no limit.

    Args:
        config: The transformers config of a model; of a composed one, its language model counts.
    """
    text = config.get_text_config()
    found = [n for name in NAMES if isinstance(n := getattr(text, name, None), int) and n > 0]
    if not found or _relative(text):
        return None
    kinds = {config.model_type, text.model_type}
    if kinds & PADDED:
        return min(found) - (text.pad_token_id or 0) - 1
    return max(min(found), *_scaled(text, min(found)), 0)


def positions_in(folder: Path) -> int | None:
    """The same of a model folder, from its config.json alone."""
    from transformers import AutoConfig

    return positions_of(AutoConfig.from_pretrained(folder, **NO_CODE))


def refuse_longer(lengths: Sequence[int], model: Path, what: str, remedy: str) -> None:
    """Refuse sequences that do not fit a model's positions.

    Args:
        lengths: Tokens of each sequence.
        model: The model's folder.
        what: What a sequence is, in the plural.
        remedy: A sentence: what to do.

    Raises:
        DataError: One is longer.
    """
    limit, longest = positions_in(model), max(lengths, default=0)
    if limit is not None and longest > limit:
        count = sum(length > limit for length in lengths)
        raise DataError(
            f"{count} of {len(lengths)} {what} are longer than the {limit} positions of the model "
            f"in {model}; the longest has {longest} tokens. {remedy}"
        )


def _relative(text: Any) -> bool:
    nested = getattr(text, "attn_config", None)
    ours = nested if isinstance(nested, dict) else getattr(nested, "__dict__", {})
    return bool(
        text.model_type in UNLIMITED
        or getattr(text, "alibi", False)
        or getattr(text, "use_alibi", False)
        or ours.get("alibi", False)
        or getattr(text, "position_embedding_type", "") in ("alibi", "relative_key_query")
        or not getattr(text, "position_biased_input", True)  # DeBERTa: relative ones alone
    )


def _scaled(text: Any, limit: int) -> Iterator[int]:
    """The longer limit of rotary positions that are stretched by a factor."""
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    if any(isinstance(own, dict) for own in rope.values()):  # one for each kind of layer
        return
    kind, factor = rope.get("rope_type", rope.get("type", "default")), rope.get("factor")
    if kind in NOT_SCALED or not factor:
        return
    yield int((rope.get("original_max_position_embeddings") or limit) * factor)
