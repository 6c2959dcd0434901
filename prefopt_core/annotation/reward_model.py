"""Score with a reward model: any Hugging Face sequence classifier."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import NonNegativeInt, PositiveInt

from prefopt_core.annotation.verdicts import by_scores
from prefopt_core.ground.ids import Message, last_text
from prefopt_core.ground.registry import InputPath, SpeedOnly
from prefopt_core.labels.questions import Question, Verdict
from prefopt_core.models.classifier import Classifier
from prefopt_core.models.folder import check_model
from prefopt_core.models.tokens import conversation_token_ids

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
    classifier = Classifier(model, device, label, max_length)
    inputs = (
        (_features(classifier.tokenizer, question.prompt, shown.text), last_text(question.prompt))
        for question in questions
        for shown in question.responses
    )
    outputs = classifier.outputs(inputs, batch_size)
    yield from by_scores(questions, (output[label] for output in outputs))


def check_annotate(*, model: str) -> Iterator[str]:
    """See whether the folder of the model is there.

    Raises:
        ConfigError: It is not, and a hub id has no such form.
    """
    yield from check_model(model, "params.model")


def _features(tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[Message], text: str) -> Any:
    if tokenizer.chat_template:
        response = Message(role="assistant", content=text)
        return {"input_ids": conversation_token_ids(tokenizer, [*prompt, response])}
    before = "\n\n".join(message["content"] for message in prompt)
    return tokenizer(before, text)
