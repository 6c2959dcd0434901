"""Training, tables in, model folder out."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.files import explained
from prefopt_core.models.adapters import ADAPTER, note_base
from prefopt_core.models.tokenised import with_token_ids
from prefopt_core.models.tokens import load_tokenizer, template_digest
from prefopt_core.training.log import write_log
from prefopt_core.training.settings import TrainingConfig
from prefopt_core.training.worker import train_in_processes


def train_on(
    preferences: Sequence[pl.DataFrame],
    start: Path,
    output: Path,
    work: Path,
    config: TrainingConfig,
    *,
    seed: int,
) -> Path:
    """Train the policy in `start` on preference pairs, with itself as the reference model.

    Args:
        preferences: Tables `preferences` with `ref_chosen_logps` and `ref_rejected_logps` under
            `start`; pairs without token ids are tokenised for it.
        start: Model folder: the policy's first weights and the reference model.
        output: Folder that gets the new policy, its training log and the flagged pairs; with LoRA
            adapters that are not merged also the digest of their base model.
        work: Folder of checkpoints; a killed run resumes from the last one.
        config: How to train.
        seed: Root of the order of pairs and of whatever the training draws.

    Returns:
        `output`.

    Raises:
        DataError: Pairs were tokenised with another chat template than that of `start`.
    """
    pairs = pl.concat([with_token_ids(table, start) for table in preferences], how="diagonal")
    _check_template(pairs, start)
    log = train_in_processes(pairs, start, output, work / "checkpoints", config, seed=seed)
    named = pairs.select("prompt_id", "chosen_id", "rejected_id").with_row_index("row")
    flagged = named.join(log.flagged, "row", maintain_order="left").drop("row")
    with explained(output):
        if (output / ADAPTER).is_file():
            note_base(output, start)
        write_log(output, log.steps, flagged)
    return output


def _check_template(pairs: pl.DataFrame, start: Path) -> None:
    expected = template_digest(load_tokenizer(start))
    foreign = pairs.filter(pl.col("template") != expected).height
    if foreign:
        raise DataError(
            f"{foreign} of {pairs.height} pairs were tokenised with another chat template than "
            f"that of the policy in {start}: it would learn from prompts it never sees. Generate "
            "the responses again with this policy, or give it the template they were made with."
        )
