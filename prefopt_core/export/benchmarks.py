"""Command lines by which benchmarks take an exported policy."""

import json
import shlex
from pathlib import Path


def commands(folder: Path) -> list[str]:
    """What runs two benchmarks of instructions and sums on a model: of lm-eval, and of lighteval.

    Options as in lm-eval 0.4.13 and lighteval 0.13; lighteval itself looks for a chat template.

    Args:
        folder: An exported model.
    """
    template = " --apply_chat_template" if _has_template(folder) else ""
    tasks, place = "ifeval,gsm8k", str(folder)
    harness = (
        f"lm_eval run --model hf --model_args {shlex.quote(f'pretrained={place}')} "
        f"--tasks {tasks}{template} --output_path {shlex.quote(f'{place}-lm_eval')}"
    )
    lighteval = (
        f"lighteval accelerate {shlex.quote(f'model_name={place}')} '{tasks}|5' "
        f"--output-dir {shlex.quote(f'{place}-lighteval')}"
    )
    return [harness, lighteval]


def _has_template(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").is_file() or (
        config.is_file() and "chat_template" in json.loads(config.read_text(encoding="utf-8"))
    )
