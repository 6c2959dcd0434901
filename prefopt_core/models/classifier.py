"""Sequence classifiers: what a model with a head for scores says to token ids."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.ids import quoted
from prefopt_core.models.fitness import check_ids
from prefopt_core.models.loading import load_once, load_weights
from prefopt_core.models.positions import positions_of
from prefopt_core.models.tokens import any_tokenizer


class Classifier:
    """A sequence classifier, loaded for inference.

    Args:
        model: Folder or hub id.
        device: "cpu", "cuda", …; "auto": a GPU if there is one, else the CPU.
        label: The output that is read, counted from 0.
        max_length: The most tokens it is to read.

    Raises:
        ConfigError: The model has no output `label`, or its tokenizer does not fit it.
    """

    def __init__(self, model: str, device: str, label: int, max_length: int) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification

        place = "cuda" if device == "auto" and torch.cuda.is_available() else device
        self.tokenizer = any_tokenizer(model)
        self._network = load_once(
            (model, device, "reward"),
            lambda: load_weights(AutoModelForSequenceClassification, model),
        ).to("cpu" if place == "auto" else place)
        config = self._network.config
        if label >= config.num_labels:
            raise ConfigError(
                f"The reward model has {config.num_labels} outputs, counted from 0; there is "
                f"no output {label}. Lower `label`."
            )
        check_ids(model, config, self.tokenizer, config.get_text_config().vocab_size)
        self._longest = min(max_length, positions_of(config) or max_length)

    def outputs(self, inputs: Iterable[tuple[Any, str]], batch_size: int) -> Iterator[list[float]]:
        """All outputs for each input, in order, a batch at a time.

        Args:
            inputs: What the tokenizer made of a conversation, and its prompt, for messages.
            batch_size: Inputs per forward pass.

        Raises:
            DataError: An input is longer than `max_length` tokens or the model's positions.
        """
        import torch

        # The classifier reads at the last token that is not padding. If the padding token is the
        # end-of-sequence token, that would be skipped as well: then batches of one, unpadded.
        alone = self.tokenizer.pad_token_id == self.tokenizer.eos_token_id
        self._network.config.pad_token_id = None if alone else self.tokenizer.pad_token_id
        waiting = iter(inputs)
        while some := list(islice(waiting, 1 if alone else batch_size)):
            batch = self._checked(some)
            with torch.inference_mode():
                padded = self.tokenizer.pad(batch, return_tensors="pt").to(self._network.device)
                yield from self._network(**padded).logits.float().tolist()

    def _checked(self, some: Sequence[tuple[Any, str]]) -> list[Any]:
        for features, prompt in some:
            if len(features["input_ids"]) > self._longest:
                raise DataError(
                    f"A conversation has {len(features['input_ids'])} tokens and the reward model "
                    f"is to read {self._longest}: {quoted(prompt)}. Raise `max_length` of the "
                    "annotator if the model can read more, or lower "
                    "`generation.params.max_new_tokens`."
                )
        return [features for features, _ in some]
