"""TRL's DPO trainer, fed with token ids and any loss of `LOSSES`.

Overridden are the preparation of data (nothing is left to prepare) and the loss of a batch.
Everything else, from the optimiser to distributed training, is TRL's and Hugging Face's.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object, send_to_device
from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from prefopt_core.implicit_reward import implicit_reward
from prefopt_core.noise import flag_noisy
from prefopt_core.training.detection import Detector, Threshold
from prefopt_core.training.objectives import NoiseAware, Objective, PairLogps
from prefopt_core.training.packing import SIDES, Inputs, collate, opened, sealed, summed, told_in
from prefopt_core.training.reading import last_hidden, reading, reads_packed, watching
from prefopt_core.training.sharded import is_shared


class Arguments(DPOConfig):
    """TRL's arguments for one process, which has one GPU.

    On all that it sees, `DataParallel` would deal out rows as if they were pairs.
    """

    @property
    def n_gpu(self) -> int:
        """GPUs of this process: one or none."""
        return min(super().n_gpu, 1)


class PreferenceTrainer(DPOTrainer):
    """Minimises an objective over pairs that bring their reference log-probabilities.

    Args:
        objective: From pairs to losses.
        beta: β, the unit of the reported rewards.
        sft: Weight of the negative log-likelihood of the chosen responses, per token.
        start: Folder of the weights that training starts from.
        pairs: A pair per row: prompt_ids, chosen_ids, rejected_ids, ref_chosen_logps,
            ref_rejected_logps, doubtful, confidence, its number `row`, and what an `Informed`
            objective is told.
        settings: Everything else that `DPOTrainer` takes; `args` are `Arguments`.
    """

    def __init__(
        self,
        objective: Objective,
        beta: float,
        sft: float,
        start: Path,
        pairs: Dataset,
        **settings: Any,
    ) -> None:
        super().__init__(train_dataset=pairs, data_collator=self._sealed, **settings)
        self.objective: Objective = objective
        self.beta, self.sft, self.pairs = beta, sft, pairs
        self.measured: dict[str, list[float]] = defaultdict(list)
        self.noise: NoiseAware | None = None
        if isinstance(objective, NoiseAware) and any(pairs["doubtful"]):
            self.noise, weight = objective, objective.extrapolation
            assert not isinstance(weight, tuple), "a schedule has one value per round"
            self.detector = Detector(self.model, start, beta=beta, extrapolation=weight)
            self.add_callback(Threshold())

    def compute_loss(
        self,
        model: Any,
        inputs: Inputs,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The mean loss of a batch of pairs."""
        inputs = opened(inputs)
        outputs, hidden = self._read(model, inputs)
        chosen_logps, rejected_logps = summed(outputs.log_probs[0], inputs["lengths"]).chunk(2)
        chosen_lengths, rejected_lengths = inputs["lengths"].chunk(2)
        pairs = PairLogps(
            policy_chosen_logps=chosen_logps,
            policy_rejected_logps=rejected_logps,
            reference_chosen_logps=inputs["ref_chosen_logps"],
            reference_rejected_logps=inputs["ref_rejected_logps"],
            chosen_lengths=chosen_lengths,
            rejected_lengths=rejected_lengths,
            flagged=self._flag(inputs, hidden),
            confidence=inputs["confidence"],
            told={name: inputs[name] for name in told_in(self.pairs.column_names)},
        )
        self._record(pairs, inputs["doubtful"])
        loss = self.objective(pairs).mean()
        if self.sft:
            loss = loss - self.sft * chosen_logps.sum() / chosen_lengths.sum()
        return (loss, outputs) if return_outputs else loss

    def _read(self, model: Any, inputs: Inputs) -> tuple[Any, torch.Tensor]:
        """TRL's output, log_probs (1, N), made without logits; the last hidden states, (N, H)."""
        with watching(self.model, inputs) as hidden:
            labels = inputs["labels"][None]
            outputs = model(**reading(inputs), shift_labels=labels, fused_lm_head=True)
        return outputs, hidden[0]

    def _collate(self, examples: Sequence[Mapping[str, Any]]) -> Inputs:
        tokenizer: Any = self.processing_class
        return collate(examples, pad_token_id=tokenizer.pad_token_id, width=self._width)

    def _sealed(self, examples: Sequence[Mapping[str, Any]]) -> Inputs:
        return sealed(self._collate(examples))

    @cached_property
    def _width(self) -> int | None:
        """H of a model that reads packed rows, else None; asked for once the model is in place."""
        lengths = [[len(row[f"{name}_ids"]) for name in ("prompt", *SIDES)] for row in self.pairs]
        shortest = sorted(range(len(lengths)), key=lambda i: sum(lengths[i]))[:2]
        config: Any = self.model.config  # type: ignore[union-attr]
        packed = reads_packed(
            self._read_once,
            config,
            [self.pairs[i] for i in shortest],
            max(prompt + max(responses) for prompt, *responses in lengths),
        )
        return config.get_text_config().hidden_size if packed else None

    @torch.no_grad()
    def _read_once(self, inputs: Inputs) -> torch.Tensor:
        model: Any = self.model_wrapped
        training = model.training
        model.eval()
        _, hidden = self._read(model, self._placed(inputs))
        model.train(training)
        return hidden

    def _placed(self, inputs: Inputs) -> Inputs:
        placed: Inputs = send_to_device(inputs, self.accelerator.device)
        return placed

    def _flag(self, inputs: Inputs, hidden: torch.Tensor) -> torch.Tensor:
        """Which doubtful pairs look wrong, (B,); the labels of the others are trusted."""
        doubtful = inputs["doubtful"]
        if self.noise is None:
            return inputs["moved"] > 0 if "moved" in inputs else torch.zeros_like(doubtful)
        noise, threshold = self.noise, self._threshold()
        if noise.threshold == "quantile":
            self._measure(noise, threshold)
            if threshold.epoch < 0:  # still warming up: no margins are needed yet
                return torch.zeros_like(doubtful)
        margins = self._margins(inputs, hidden)
        flagged = flag_noisy(
            margins,
            threshold.value,
            step=self.state.global_step,
            max_steps=self.state.max_steps,
            warm_up=noise.warm_up,
        )
        if self.state.global_step >= noise.warm_up * self.state.max_steps:
            self.measured["threshold"].append(threshold.value)
        rows = self.accelerator.gather(inputs["row"].masked_fill(~flagged, -1))
        threshold.note(rows[rows >= 0].tolist())
        if noise.threshold == "running":
            seen = self.accelerator.gather(margins)
            threshold.move(
                seen[seen.isfinite()].tolist(), window=noise.window, noise_share=noise.noise_share
            )
        return flagged

    def _margins(self, inputs: Inputs, hidden: torch.Tensor) -> torch.Tensor:
        """β·Δ̃, (B,); infinite, so never flagged, for pairs whose label is trusted."""
        doubtful = inputs["doubtful"]
        margins = torch.full(doubtful.shape, torch.inf, dtype=torch.float64, device=doubtful.device)
        # Processes that share a policy look at it together, whoever of them has doubtful pairs.
        seen = doubtful | is_shared(self.model)
        if seen.any():
            if not seen.all():
                hidden = hidden[seen.repeat(2).repeat_interleave(inputs["lengths"])]
                rows = inputs["row"][seen].tolist()
                inputs = self._placed(self._collate([self.pairs[row] for row in rows]))
            with self.accelerator.autocast():
                margins[seen] = self.detector.margins(inputs, hidden)
        return margins.masked_fill(~doubtful, torch.inf)

    def _measure(self, noise: NoiseAware, threshold: Threshold) -> None:
        """Measure the exact τ over the data set: once the warm-up is over, then every epoch."""
        warm = self.state.global_step >= noise.warm_up * self.state.max_steps
        epoch = int(self.state.epoch)
        if not warm or threshold.epoch >= epoch:
            return
        doubtful = [i for i, doubted in enumerate(self.pairs["doubtful"]) if doubted]
        first, every = self.accelerator.process_index, self.accelerator.num_processes
        own = len(doubtful[first::every])
        # Each process has as many: those that share a policy wait for each other.
        dealt = range(first, -(-len(doubtful) // every) * every, every)
        mine = [doubtful[i % len(doubtful)] for i in dealt]
        size, margins = self.args.per_device_train_batch_size, []
        model: Any = self.model
        model.eval()
        for start in range(0, len(mine), size):
            rows = [self.pairs[i] for i in mine[start : start + size]]
            inputs = self._placed(self._collate(rows))
            with self.accelerator.autocast():
                margins += self._margins(inputs, last_hidden(model, inputs)).tolist()
        model.train()
        threshold.measure(gather_object(margins[:own]), epoch=epoch, noise_share=noise.noise_share)

    @property
    def flagged(self) -> dict[int, int]:
        """Row of a pair → how often it was flagged."""
        if self.noise is None:
            moved = self.pairs["moved"] if "moved" in self.pairs.column_names else []
            return {row: 1 for row, share in enumerate(moved) if share > 0}
        return {int(row): times for row, times in self._threshold().flagged.items()}

    def _threshold(self) -> Threshold:
        """The callback that holds τ; looked up each time, as resuming a run replaces it."""
        return next(c for c in self.callback_handler.callbacks if isinstance(c, Threshold))

    @torch.no_grad()
    def _record(self, pairs: PairLogps[torch.Tensor], doubtful: torch.Tensor) -> None:
        """Add a batch to the figures of which `log` has the means over an optimiser step."""
        policy_chosen, policy_rejected, reference_chosen, reference_rejected = pairs.sums
        chosen = implicit_reward(policy_chosen, reference_chosen, beta=self.beta)
        rejected = implicit_reward(policy_rejected, reference_rejected, beta=self.beta)
        metrics = {
            "reward_margin": chosen - rejected,
            "accuracy": chosen > rejected,
            "chosen_logps": policy_chosen,
            "rejected_logps": policy_rejected,
            "chosen_shift": policy_chosen - reference_chosen,
            "rejected_shift": policy_rejected - reference_rejected,
            "doubtful": doubtful,
            "flagged": pairs.flagged,
        }
        table = torch.stack([m.double() for m in metrics.values()], dim=1)
        means = self.accelerator.gather(table).mean(dim=0).tolist()
        for name, mean in zip(metrics, means, strict=True):
            self.measured[name].append(mean)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log an optimiser step, with the mean of each figure that its batches had."""
        means = {name: sum(values) / len(values) for name, values in self.measured.items()}
        self.measured.clear()
        super().log(logs | means, start_time)

    # Steps of TRL's trainer that have nothing to do here; it has no public names for them ---------

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset  # the pairs bring their token ids: nothing is tokenised here

    def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:
        return dataset  # the pairs bring their reference log-probabilities

    def _send_telemetry(self) -> None:
        """No telemetry: nothing is sent."""
