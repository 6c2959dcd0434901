"""Score with a reward model: any Hugging Face sequence classifier."""

from collections.abc import Iterator, Sequence

from prefopt_core.annotation import Request
from prefopt_core.errors import ConfigError
from prefopt_core.registry import InputPath


def annotate(
    requests: Sequence[Request],
    *,
    model: InputPath,
    batch_size: int = 8,
    max_length: int = 2048,
    label: int = 0,
    device: str = "auto",
) -> Iterator[float | None]:
    """Score with a sequence classifier from a folder or hub id; `label` is the logit that counts.

    Conversations go through the model's chat template if it has one, else as the text pair
    (prompt, response), which is how OASST's reward models were trained.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    place = "cuda" if device == "auto" and torch.cuda.is_available() else device
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModelForSequenceClassification.from_pretrained(model, dtype="auto").eval()
    except (OSError, ValueError) as error:
        raise ConfigError(f"Cannot load the reward model {model!r}: {error}") from error
    network = network.to("cpu" if place == "auto" else place)
    if not 0 <= label < network.config.num_labels:
        raise ConfigError(
            f"The reward model has {network.config.num_labels} outputs; there is no output {label}."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    network.config.pad_token_id = tokenizer.pad_token_id
    for start in range(0, len(requests), batch_size):
        batch = requests[start : start + batch_size]
        encoded = tokenizer(
            *_texts(tokenizer, batch),
            padding=True,
            truncation=True,
            max_length=max_length,
            return_tensors="pt",
        ).to(network.device)
        with torch.inference_mode():
            scores = network(**encoded).logits[:, label].float()
        yield from scores.tolist()


def _texts(tokenizer, batch: Sequence[Request]) -> tuple[list[str], ...]:  # type: ignore[no-untyped-def]
    if not tokenizer.chat_template:
        return [r.prompt[-1]["content"] for r in batch], [r.response for r in batch]
    return (
        [
            tokenizer.apply_chat_template(
                [*map(dict, r.prompt), {"role": "assistant", "content": r.response}],
                tokenize=False,
            )
            for r in batch
        ],
    )
