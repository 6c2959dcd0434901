"""Generation on tables: `prompts` in, `candidates` out."""

from pathlib import Path

import polars as pl

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Prompt, candidate_id_of, last_text, quoted
from prefopt_core.ground.tables import TABLES


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
        DataError: The generator gave no response to a prompt.
    """
    policy = model.name if model else config.generator
    asked = [Prompt(row["prompt_id"], row["prompt"]) for row in prompts.iter_rows(named=True)]
    written = config.member()(asked, model, config.n, seed)
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
    return pl.DataFrame(rows, schema=TABLES["candidates"].columns)
