"""What the training benchmarks train and on what: two models, pairs of help desk replies."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import polars as pl

from prefopt_core.models.tokenised import tokenised
from prefopt_core.models.tokens import load_tokenizer
from prefopt_core.scoring.transformers_local import score
from prefopt_core.worlds.helpdesk.grammar import draw_facts, write_prompt, write_response
from prefopt_core.worlds.helpdesk.pretraining import pretrain


@dataclass(frozen=True)
class World:
    """A model and sequences of its tokens.

    Attributes:
        name: With its size.
        folder: The model.
        sequences: (prompt, response) token ids; responses are as long as the personas write.
    """

    name: str
    folder: Path
    sequences: list[tuple[list[int], list[int]]]


def help_desk(folder: Path, count: int) -> World:
    """The help desk's own model, hardly trained: a step costs the same."""
    (folder / "work").mkdir(parents=True)
    pretrain(folder / "model", folder / "work", 0, steps=40)
    return World("help desk, 0.4 M", folder / "model", _sequences(folder / "model", count))


def larger(folder: Path, desk: World) -> World:
    """A Llama of 14 M parameters, never trained, on the same tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(0)
    tokenizer = load_tokenizer(desk.folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    return World(f"random Llama, {millions:.0f} M", folder, desk.sequences)


def _sequences(model: Path, count: int) -> list[tuple[list[int], list[int]]]:
    rng, sequences = Random(0), []
    for _ in range(count // 2):
        facts = draw_facts(rng)
        prompt = [{"role": "user", "content": write_prompt(facts, rng)}]
        sequences += [tokenised(model, prompt, write_response(facts, rng)) for _ in range(2)]
    return sequences


def pairs_of(world: World, count: int) -> pl.DataFrame:
    """Pairs with their reference log-probabilities, all self-labelled: noise detection has work."""
    logps = score(world.folder, world.sequences[: 2 * count])
    chosen, rejected = world.sequences[: 2 * count : 2], world.sequences[1 : 2 * count : 2]
    return pl.DataFrame(
        {
            "prompt_token_ids": [prompt for prompt, _ in chosen],
            "chosen_token_ids": [response for _, response in chosen],
            "rejected_token_ids": [response for _, response in rejected],
            "ref_chosen_logps": logps[::2],
            "ref_rejected_logps": logps[1::2],
            "source": ["self"] * count,
            "confidence": [1.0] * count,
        }
    )
