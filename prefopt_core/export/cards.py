"""README.md of an exported folder: what the hub reads in its head, and a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.files import write_whole

CARD = "README.md"
_TAGS = ["prefopt", "preference", "dpo", "trl"]
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))


def data_set_head(files: Mapping[str, Path], rows: int) -> dict[str, Any]:
    """What the hub and `datasets` read of a data set.

    Args:
        files: Split → its file.
        rows: Of all splits.
    """
    splits = [{"split": name, "path": file.name} for name, file in files.items()]
    return {
        "task_categories": ["text-generation"],
        "size_categories": [next((s for n, s in _SIZES if rows < n), "n>1M")],
        "tags": _TAGS,
        "configs": [{"config_name": "default", "data_files": splits}],
    }


def model_head(base_model: str | None) -> dict[str, Any]:
    """What the hub reads of a model; `base_model` is its id there."""
    base = {"base_model": base_model} if base_model else {}
    return base | {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": _TAGS,
    }


def require_card_of_pairs(folder: Path) -> None:
    """Refuse a folder whose README.md is of something else than exported pairs.

    Raises:
        DataError: It is so.
    """
    if (folder / CARD).exists() and not has_our_card(folder):
        raise DataError(f"{folder / CARD} is there already, and no card. Name another folder.")
    if _head_of(folder).get("library_name"):
        raise DataError(f"{folder} has an exported model. Name another folder for pairs.")


def has_our_card(folder: Path) -> bool:
    """Whether a folder has a README.md that an export wrote."""
    return "prefopt" in (_head_of(folder).get("tags") or ())


def write_card(folder: Path, head: Mapping[str, Any], page: str) -> None:
    """Write README.md; the licence that an earlier card names stays.

    Args:
        folder: An export.
        head: Becomes its YAML.
        page: Markdown.
    """
    from huggingface_hub.repocard_data import CardData

    licence = {k: v for k, v in _head_of(folder).items() if k.startswith("license")}
    content = f"---\n{CardData(**licence, **head).to_yaml()}\n---\n\n{page}"
    write_whole(folder / CARD, lambda file: file.write_text(content, encoding="utf-8"))


def _head_of(folder: Path) -> dict[str, Any]:
    from huggingface_hub import RepoCard

    if not (folder / CARD).is_file():
        return {}
    try:
        return RepoCard.load(folder / CARD, ignore_metadata_errors=True).data.to_dict()
    except (OSError, ValueError):
        return {}
