"""Compare with a sequence classifier that reads a prompt and two responses at once.

Such rankers see what the responses differ in, which scores of one response do not: Jiang et al.,
"LLM-Blender", arXiv:2306.02561 (PairRM). PairRM's own class is not in transformers; a model trained
in its layout with the usual head of a sequence classifier is read here. A pairwise model that
answers with a token, "A" or "B", is an LLM judge: see `llm-judge-local`.
"""

import math
import re
from collections.abc import Iterator, Sequence
from string import Formatter
from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import last_text
from prefopt_core.ground.registry import InputPath, SpeedOnly
from prefopt_core.labels.questions import Question, Verdict
from prefopt_core.models.classifier import Classifier
from prefopt_core.models.folder import check_model

_FIELDS = ["first", "prompt", "second"]
PAIRRM = "<|source|>{prompt}<|candidate1|>{first}<|candidate2|>{second}"


def annotate(
    questions: Sequence[Question],
    *,
    model: InputPath,
    ask: Literal["compare"] = "compare",
    orders: Literal["one", "both"] = "both",
    layout: str = PAIRRM,
    label: NonNegativeInt = 0,
    batch_size: SpeedOnly[PositiveInt] = 8,
    max_length: PositiveInt = 2048,
    device: SpeedOnly[str] = "auto",
) -> Iterator[Verdict]:
    """Compare pairs with a sequence classifier: P(first better) from its output `label`.

    Of a model with one output P is its sigmoid, of one with several the softmax of `label`.
    A text that has a delimiter of the layout within it could pass for another one: its verdict is
    `invalid`, and `why` says so.

    Args:
        questions: Pairs to compare.
        model: Folder or hub id of a sequence classifier.
        ask: It compares and cannot score.
        orders: How often a pair is asked about: in "one" order, or in "both", which shows and
            evens out a liking for the first or the second place.
        layout: What the model reads, with {prompt}, {first} and {second} once each; as it was
            trained. The default is PairRM's.
        label: Which output says that the first is better, counted from 0.
        batch_size: Pairs per forward pass; 1 whatever is set if the padding token is the
            end-of-sequence token.
        max_length: The most tokens of a pair; a longer one ends the run, nothing is cut.
        device: "cpu", "cuda", …; "auto": a GPU if there is one, else the CPU.

    Raises:
        ConfigError: The layout cannot be filled in, the model has no output `label`, or its
            tokenizer does not fit it.
        DataError: A pair is longer than `max_length` tokens or the model's positions.
    """
    delimiters = _delimiters(layout)
    classifier = Classifier(model, device, label, max_length)
    asked = [_texts(question) for question in questions]
    broken = [_found(delimiters, texts) for texts in asked]
    inputs = (
        (classifier.tokenizer(layout.format(**texts)), last_text(question.prompt))
        for question, texts, found in zip(questions, asked, broken, strict=True)
        if found is None
    )
    outputs = classifier.outputs(inputs, batch_size)
    for found in broken:
        if found is not None:
            yield Verdict("invalid", why=f"Not asked: one of the texts has {found!r} within it.")
        else:
            yield Verdict.preferred(_probability(next(outputs), label))


def check_annotate(*, model: str, layout: str) -> Iterator[str]:
    """Look at the layout, and whether the folder of the model is there.

    Raises:
        ConfigError: One of them cannot be used.
    """
    _delimiters(layout)
    yield from check_model(model, "params.model")


def _probability(outputs: Sequence[float], label: int) -> float:
    """σ(z) of one output z; of several e^z_label / Σ e^z."""
    others = [z for n, z in enumerate(outputs) if n != label] or [0.0]
    highest = max(outputs[label], *others)
    own = math.exp(outputs[label] - highest)
    return own / (own + sum(math.exp(z - highest) for z in others))


def _texts(question: Question) -> dict[str, str]:
    first, second = question.responses
    prompt = "\n\n".join(message["content"] for message in question.prompt)
    return {"prompt": prompt, "first": first.text, "second": second.text}


def _delimiters(layout: str) -> list[str]:
    """What stands between the texts.

    Raises:
        ConfigError: The layout does not have each text once.
    """
    try:
        parts = list(Formatter().parse(layout))
    except ValueError:
        parts = []
    plain = all(not spec and not conversion for _, _, spec, conversion in parts)
    if sorted(name for _, name, _, _ in parts if name is not None) != _FIELDS or not plain:
        raise ConfigError(
            f"`params.layout` is {layout!r}; it needs {{prompt}}, {{first}} and {{second}}, once "
            "each."
        )
    return [text.strip() for text, *_ in parts if re.search(r"\S", text)]


def _found(delimiters: Sequence[str], texts: dict[str, str]) -> str | None:
    """A delimiter that is within a text."""
    return next((d for d in delimiters for text in texts.values() if d in text), None)
