"""Direct preference optimisation through TRL, from token ids and given reference log-probabilities.

The policy starts from a model folder and learns from pairs; the reference model is the same folder.
Its log-probabilities come with the pairs, so it is in memory only where noise detection compares
logits.
"""

import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate import PartialState
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig
from trl.trainer.utils import disable_dropout_in_model

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.files import explained
from prefopt_core.models.adapters import adapter_in, weights_of
from prefopt_core.models.folder import NO_CODE
from prefopt_core.models.loading import (
    adapted,
    give_memory_back,
    load_weights,
    own_dtype,
    silence_libraries,
)
from prefopt_core.models.saving import merged, save_weights
from prefopt_core.models.threads import threads_for
from prefopt_core.models.tokens import load_tokenizer
from prefopt_core.training.adapters import (
    continued,
    in_four_bits,
    in_full,
    new_adapters,
    save_adapters,
    trained_values,
)
from prefopt_core.training.checks import (
    IDS,
    LOGPS,
    adaptable,
    check_pairs,
    trainable_config,
)
from prefopt_core.training.fidelity import (
    Trained,
    pair_logps,
    refuse_diverged,
    sample_of,
    with_margins,
)
from prefopt_core.training.log import steps_of
from prefopt_core.training.objectives import Informed, NoiseAware
from prefopt_core.training.preference_trainer import Arguments, PreferenceTrainer
from prefopt_core.training.resume import RESUMABLE, attach, latest_checkpoint
from prefopt_core.training.settings import TrainingConfig
from prefopt_core.training.sharded import whole

ATTENTION = {"auto": None, "eager": "eager", "sdpa": "sdpa", "flash": "flash_attention_2"}
"""`training.attention` → what transformers calls it."""
ADAPTERS = "adapters"
"""Folder of trained adapters among the checkpoints, until they are merged."""


@dataclass(frozen=True)
class TrainingLog:
    """What was measured in a training.

    Attributes:
        steps: One row per optimiser step: `step` and `log.STEP_METRICS`. Rewards are β times
            log-ratios; logps and shifts (log π - log π_ref) are means over pairs; `flagged` is the
            share of the step's doubtful pairs that were flagged, and `threshold` the τ by which,
            null while warming up. The last row has `SAVED_METRICS`, too: the mean margin of some
            of the pairs under the policy as it was trained, and as it was saved.
        flagged: Columns row, of a flagged pair, and times, how often it was flagged.
    """

    steps: pl.DataFrame
    flagged: pl.DataFrame


def train(
    pairs: pl.DataFrame, start: Path, output: Path, work: Path, config: TrainingConfig, *, seed: int
) -> TrainingLog:
    """Train a policy on preference pairs and save it as a plain model folder.

    A run that was killed resumes from its last checkpoint when it is called again with the same
    arguments, and ends with the same weights as an uninterrupted one.

    Args:
        pairs: One pair per row: prompt_token_ids, chosen_token_ids, rejected_token_ids, their
            ref_chosen_logps and ref_rejected_logps (summed over response tokens, under `start`),
            source ("self" for labels that noise detection may doubt), and confidence; for SPPO also
            chosen_win_rate and rejected_win_rate.
        start: Model folder: the policy's first weights and the reference model.
        output: Folder to write: safetensors in `config.save_dtype`, tokenizer and settings of
            `start`; with `lora.merge: false` LoRA adapters in place of the weights.
        work: Folder of checkpoints, of this run alone; delete it once `output` is safe.
        config: How to train.
        seed: Order of pairs, dropout, and the adapters' first weights.

    Returns:
        Metrics of every step and the flagged pairs.

    Raises:
        ConfigError: LoRA cannot adapt what it is to adapt, training diverged, or what was saved is
            not what was trained.
        DataError: The pairs cannot be trained on, see `check_pairs`.
        StoreError: The disk is full; the last whole checkpoint stays.
    """
    check_pairs(pairs, start, config)
    silence_libraries()
    sample = sample_of(pairs)
    log, trained = _learn(pairs, sample, start, output, work, config, seed)
    # What was trained is let go of: only one policy is loaded at a time.
    gc.collect()
    give_memory_back()
    if trained is None:
        return log
    steps = with_margins(log.steps, trained, sample, start, output, beta=config.beta)
    return replace(log, steps=steps)


def _learn(
    pairs: pl.DataFrame,
    sample: pl.DataFrame,
    start: Path,
    output: Path,
    work: Path,
    config: TrainingConfig,
    seed: int,
) -> tuple[TrainingLog, Trained | None]:
    """Train and save; None in all processes but the first, which saves."""
    model = _policy(start, config)
    if config.quantize:
        pairs = _scored_by(model, pairs)
    # Adapters that are merged, or were trained on other weights than they are used with.
    apart = config.lora is not None and (config.lora.merge or config.quantize is not None)
    dtype = own_dtype(weights_of(start)) if config.save_dtype == "start" else torch.float32
    trainer = attach(_trainer(model, pairs, start, work, config, seed))
    with threads_for(model), explained(work):
        trainer.train(resume_from_checkpoint=latest_checkpoint(work))
    first, device = trainer.is_world_process_zero(), model.device
    log = TrainingLog(steps_of(trainer.state.log_history), _flagged(trainer))
    trained = None
    policy = whole(trainer, config, lambda: _policy(start, config))
    if first:
        if not apart:
            trained = _measured(policy, sample, device, dtype)
        with explained(output):
            _save(policy, start, work / ADAPTERS if apart else output, dtype)
    trainer.accelerator.wait_for_everyone()
    if first and config.lora and apart:
        del policy, model, trainer  # their memory is for the adapted policy
        gc.collect()
        give_memory_back()
        trained = _adapt(work, sample, start, output, device, dtype, config.lora.merge)
    return log, trained


def _scored_by(model: Any, pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs with reference log-probabilities under weights that are not those of the scorer."""
    logps = pair_logps(model, pairs, model.device)
    return pairs.with_columns(pl.Series(name, logps[:, i]) for i, name in enumerate(LOGPS))


def _measured(policy: Any, sample: pl.DataFrame, device: Any, dtype: torch.dtype) -> Trained:
    logps = pair_logps(policy, sample, device)
    trained = Trained(logps, policy.device, dtype)  # it may not have fitted
    refuse_diverged(trained.logps)
    return trained


def _policy(start: Path, config: TrainingConfig) -> Any:
    """The model in a folder, ready to be trained."""
    weights, apart = weights_of(start), adapter_in(start)
    model: Any = AutoModelForCausalLM.from_pretrained(
        weights,
        config=trainable_config(weights),
        # A step of 5e-7 is lost in bfloat16 weights; under adapters they do not move.
        dtype="auto" if config.lora or apart else torch.float32,
        attn_implementation=ATTENTION[config.attention],
        **(in_four_bits() if config.quantize else {}),
        **NO_CODE,
    )
    disable_dropout_in_model(model)  # what no setting names; LoRA adapters keep theirs
    # Checkpoints carry it, and transformers refuses to write some of those it has read.
    ends = model.generation_config
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=ends.eos_token_id, bos_token_id=ends.bos_token_id
    )
    return continued(model, start, config.lora) if apart else model


def _trainer(
    model: Any, pairs: pl.DataFrame, start: Path, work: Path, config: TrainingConfig, seed: int
) -> PreferenceTrainer:
    tokenizer = load_tokenizer(start)
    lora = None if isinstance(model, PeftModel) else config.lora
    columns = {c: c.replace("_token_ids", "_ids") for c in (*IDS, *LOGPS)}
    # The flow aepo trains once, without `for_round`: a schedule means its first value. Settings
    # that went through `for_round` have no schedules and stay as they are.
    objective = config.for_round(1).member()(config.beta)
    everyone = isinstance(objective, NoiseAware) and objective.doubts == "all"
    rows = pairs.select(
        *(pl.col(c).alias(name) for c, name in columns.items()),
        ((pl.col("source") == "self") | everyone).alias("doubtful"),
        "confidence",
        *(pl.Series(name, told) for name, told in _told(objective, pairs).items()),
    ).with_row_index("row")
    before = trained_values(model) if config.quantize else None
    with adaptable(lora, model):
        trainer = PreferenceTrainer(
            objective,
            config.beta,
            config.sft,
            start,
            Dataset.from_dict(rows.to_dict(as_series=False)),
            model=model,
            args=_arguments(work, config, seed, len(pairs)),
            processing_class=tokenizer,
            peft_config=new_adapters(lora) if lora else None,
        )
    in_full(trainer.model, before)
    return trainer


def _told(objective: Any, pairs: pl.DataFrame) -> Mapping[str, FloatArray]:
    return objective.tell(pairs) if isinstance(objective, Informed) else {}


def _arguments(work: Path, config: TrainingConfig, seed: int, pairs: int) -> Arguments:
    gpu = torch.cuda.is_available()
    processes = PartialState(cpu=not gpu).num_processes  # unasked it sees one on CPUs
    return Arguments(
        output_dir=str(work),
        seed=seed,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        # The first step of a warm-up has a rate of 0: an only step would train nothing.
        warmup_steps=0 if config.steps_on(pairs) == 1 else config.learning_rate_warm_up,
        num_train_epochs=config.epochs,
        max_steps=config.steps or -1,
        per_device_train_batch_size=config.micro,
        gradient_accumulation_steps=config.batch_size // (config.micro * processes),
        optim=config.optimizer,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        activation_checkpointing=config.gradient_checkpointing,
        use_liger_kernel=config.liger,
        bf16=gpu and torch.cuda.is_bf16_supported(),
        dataloader_pin_memory=gpu,
        save_steps=config.save_every,
        logging_steps=1,  # an average over several steps is lost when a run is killed amid them
        logging_nan_inf_filter=False,
        max_length=None,  # `check_pairs` refuses longer pairs; none is truncated
        remove_unused_columns=False,
        disable_dropout=False,  # `_policy` has, in the base model; LoRA adapters keep theirs
        precompute_ref_log_probs=True,  # they come with the pairs; no reference model is loaded
        **RESUMABLE,
    )


def _save(model: Any, start: Path, output: Path, dtype: torch.dtype) -> None:
    """Save the adapters of a policy, or its weights."""
    output.mkdir(exist_ok=True)
    load_tokenizer(start).save_pretrained(output)
    if isinstance(model, PeftModel):
        save_adapters(model, start, output)
    else:
        save_weights(model, start, output, dtype)


def _adapt(
    work: Path, pairs: pl.DataFrame, start: Path, output: Path, device: Any, dtype: Any, merge: bool
) -> Trained:
    """Put adapters on weights that were loaded in float32; save those, or the adapters alone."""
    weights = load_weights(AutoModelForCausalLM, weights_of(start), dtype=torch.float32)
    policy = adapted(weights, work / ADAPTERS)
    trained = _measured(policy, pairs, device, dtype)
    with explained(output):
        _save(merged(policy) if merge else policy, start, output, dtype)
    return trained


def _flagged(trainer: PreferenceTrainer) -> pl.DataFrame:
    times = trainer.flagged
    return pl.DataFrame(
        {"row": sorted(times), "times": [times[row] for row in sorted(times)]},
        schema={"row": pl.UInt32(), "times": pl.Int64()},
    )
