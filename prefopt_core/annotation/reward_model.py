"""Score with a reward model: any Hugging Face sequence classifier."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import NonNegativeInt, PositiveInt

from prefopt_core.annotation.verdicts import by_scores
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.ids import Message, last_text, quoted
from prefopt_core.ground.registry import InputPath, SpeedOnly
from prefopt_core.labels.questions import Question, Verdict
from prefopt_core.models.fitness import check_ids
from prefopt_core.models.folder import check_model
from prefopt_core.models.loading import load_once, load_weights
from prefopt_core.models.positions import positions_of
from prefopt_core.models.tokens import any_tokenizer, conversation_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def annotate(
    questions: Sequence[Question],
    *,
    model: InputPath,
    batch_size: SpeedOnly[PositiveInt] = 8,
    max_length: PositiveInt = 2048,
    label: NonNegativeInt = 0,
    device: SpeedOnly[str] = "auto",
) -> Iterator[Verdict]:
    """Score with a sequence classifier from a folder or hub id; `label` is the logit that counts.

    Conversations go through the model's chat template if it has one, else as the text pair
    (prompt, response), which is how OASST's reward models were trained.

    Args:
        questions: The responses to score.
        model: Folder or hub id of a sequence classifier.
        batch_size: Conversations per forward pass; 1 whatever is set if the padding token is the
            end-of-sequence token.
        max_length: The most tokens of a conversation; a longer one ends the run, nothing is cut.
        label: Which output of the model is the score, counted from 0.
        device: "cpu", "cuda", …; "auto": a GPU if there is one, else the CPU.

    Raises:
        ConfigError: The model has no output `label`, or its tokenizer does not fit it.
        DataError: A conversation is longer than `max_length` tokens or the model's positions.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    place = "cuda" if device == "auto" and torch.cuda.is_available() else device
    tokenizer = any_tokenizer(model)
    network = load_once(
        (model, device, "reward"),
        lambda: load_weights(AutoModelForSequenceClassification, model),
    ).to("cpu" if place == "auto" else place)
    if label >= network.config.num_labels:
        raise ConfigError(
            f"The reward model has {network.config.num_labels} outputs, counted from 0; there is "
            f"no output {label}. Lower `label`."
        )
    check_ids(model, network.config, tokenizer, network.config.get_text_config().vocab_size)
    max_length = min(max_length, positions_of(network.config) or max_length)
    # The classifier reads the score at the last token that is not padding. If the padding token is
    # the end-of-sequence token, that would be skipped as well: then batches of one, unpadded.
    alone = tokenizer.pad_token_id == tokenizer.eos_token_id
    network.config.pad_token_id = None if alone else tokenizer.pad_token_id
    if alone:
        batch_size = 1
    texts = [
        (question.prompt, shown.text) for question in questions for shown in question.responses
    ]

    def scores() -> Iterator[float]:
        for start in range(0, len(texts), batch_size):
            some = texts[start : start + batch_size]
            batch = [_features(tokenizer, *each, max_length) for each in some]
            with torch.inference_mode():
                inputs = tokenizer.pad(batch, return_tensors="pt").to(network.device)
                yield from network(**inputs).logits[:, label].float().tolist()

    yield from by_scores(questions, scores())


def check_annotate(*, model: str) -> Iterator[str]:
    """See whether the folder of the model is there.

    Raises:
        ConfigError: It is not, and a hub id has no such form.
    """
    yield from check_model(model, "params.model")


def _features(
    tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[Message], text: str, max_length: int
) -> Any:
    if tokenizer.chat_template:
        response = Message(role="assistant", content=text)
        ids = conversation_token_ids(tokenizer, [*prompt, response])
        features: Any = {"input_ids": ids}
    else:
        before = "\n\n".join(message["content"] for message in prompt)
        features = tokenizer(before, text)
    if len(features["input_ids"]) > max_length:
        raise DataError(
            f"A conversation has {len(features['input_ids'])} tokens and the reward model is to "
            f"read {max_length}: {quoted(last_text(prompt))}. Raise `max_length` of the "
            "annotator if the model can read more, or lower `generation.params.max_new_tokens`."
        )
    return features
