"""Generation on tables: `prompts` in, `candidates` out."""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from prefopt_core.generation import Response
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Prompt, candidate_id_of, last_text, quoted
from prefopt_core.ground.tables import TABLES
from prefopt_core.models.literal import control_tokens
from prefopt_core.models.positions import positions_in, refuse_longer
from prefopt_core.models.templates import REASONING, TAGS
from prefopt_core.models.tokenised import tokenised
from prefopt_core.models.tokens import Tokens, load_tokenizer

log = logging.getLogger(__name__)

MARKS = 64
"""The tokens that a template may write around a message; a text has at most one for each byte."""


def generate_candidates(
    prompts: pl.DataFrame,
    model: Path | None,
    config: GenerationConfig,
    *,
    seed: int,
) -> pl.DataFrame:
    """Have `config.generator` write `config.n` responses to every prompt.

    Args:
        prompts: Table `prompts`.
        model: Folder of the policy; None for generators that need none. Its name (the digest in
            the store), or else the generator's, is the column policy of responses without `writer`.
        config: Which generator, and its settings.
        seed: Root of the draws; each prompt's depend on its id and nothing else.

    Returns:
        Table `candidates`, the samples of a prompt together, prompts in their order.

    Raises:
        DataError: The generator gave no response to a prompt, or one without token ids that the
            policy's template does not write behind its prompt, or longer than the policy.
    """
    policy = model.name if model else config.generator
    asked = [Prompt(row["prompt_id"], row["prompt"]) for row in prompts.iter_rows(named=True)]
    written = config.member()(asked, model, config.n, seed)
    if model:
        _try_texts(model, asked, written)
    rows = []
    for prompt, responses in zip(asked, written, strict=True):
        if not responses:
            raise DataError(
                f"Generator {config.generator!r} gave no response to the prompt "
                f"{quoted(last_text(prompt.messages))}."
            )
        rows += [
            {
                "prompt_id": prompt.prompt_id,
                "candidate_id": candidate_id_of(prompt.prompt_id, response.text),
                "sample": sample,
                "response": response.text,
                "policy": response.writer or policy,
                "finish_reason": response.finish_reason,
                "prompt_token_ids": response.prompt_token_ids,
                "response_token_ids": response.token_ids,
                "logps": response.logps,
                "template": response.template,
            }
            for sample, response in enumerate(responses)
        ]
    _tell_of_reasoning([row["response"] for row in rows if row["finish_reason"] == "given"])
    return pl.DataFrame(rows, schema=TABLES["candidates"].columns)


def _try_texts(
    model: Path, prompts: Sequence[Prompt], written: Sequence[Sequence[Response]]
) -> None:
    """Refuse texts that cannot be trained now, not when labels are bought.

    Tried are the first to each prompt, as templates refuse all or none, those that end in the name
    of a control token, and those that may be longer than the model; scoring looks at each one.
    """
    names, limit = tuple(control_tokens(load_tokenizer(model))), positions_in(model)
    lengths = []
    for prompt, responses in zip(prompts, written, strict=True):
        given = [response for response in responses if response.token_ids is None]
        said = sum(len(message["content"].encode()) for message in prompt.messages)
        for number, response in enumerate(given):
            may_be_longer = limit and said + len(response.text.encode()) + MARKS > limit
            both: tuple[Tokens, Tokens] = ([], [])
            if not number or may_be_longer or response.text.rstrip().endswith(names):
                finished = response.finish_reason != "length"
                both = tokenised(model, prompt.messages, response.text, finished=finished)
            lengths.append(sum(map(len, both)))
    refuse_longer(lengths, model, "prompts with their given response", "Leave those out.")


def _tell_of_reasoning(given: Sequence[str]) -> None:
    begun = sum(
        text.lstrip().startswith(tuple(begin for begin, _ in (*REASONING, *TAGS))) for text in given
    )
    if begun:
        log.warning(
            "%d of %d responses of the file begin with reasoning, such as <think>. It is labelled "
            "and trained as part of them; if the answers alone count, leave it out of the file.",
            begun,
            len(given),
        )
