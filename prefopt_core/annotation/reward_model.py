"""Score with a reward model: any Hugging Face sequence classifier."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import NonNegativeInt, PositiveInt

from prefopt_core.annotation import Request
from prefopt_core.errors import ConfigError
from prefopt_core.models import load_weights
from prefopt_core.registry import InputPath
from prefopt_core.tokens import any_tokenizer, encoded, rendered

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def annotate(
    requests: Sequence[Request],
    *,
    model: InputPath,
    batch_size: PositiveInt = 8,
    max_length: PositiveInt = 2048,
    label: NonNegativeInt = 0,
    device: str = "auto",
) -> Iterator[float | None]:
    """Score with a sequence classifier from a folder or hub id; `label` is the logit that counts.

    Conversations go through the model's chat template if it has one, else as the text pair
    (prompt, response), which is how OASST's reward models were trained.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    place = "cuda" if device == "auto" and torch.cuda.is_available() else device
    tokenizer = any_tokenizer(model)
    network = load_weights(AutoModelForSequenceClassification, model)
    network = network.to("cpu" if place == "auto" else place)
    if label >= network.config.num_labels:
        raise ConfigError(
            f"The reward model has {network.config.num_labels} outputs, counted from 0; there is "
            f"no output {label}. Lower `label`."
        )
    network.config.pad_token_id = tokenizer.pad_token_id
    for start in range(0, len(requests), batch_size):
        batch = [_features(tokenizer, r, max_length) for r in requests[start : start + batch_size]]
        with torch.inference_mode():
            inputs = tokenizer.pad(batch, return_tensors="pt").to(network.device)
            scores = network(**inputs).logits[:, label].float()
        yield from scores.tolist()


def _features(tokenizer: "PreTrainedTokenizerBase", request: Request, max_length: int) -> Any:
    if tokenizer.chat_template:
        response = {"role": "assistant", "content": request.response}
        text = rendered(tokenizer, [*request.prompt, response])
        return {"input_ids": encoded(tokenizer, text)[:max_length]}
    prompt = "\n\n".join(message["content"] for message in request.prompt)
    return tokenizer(prompt, request.response, truncation=True, max_length=max_length)
