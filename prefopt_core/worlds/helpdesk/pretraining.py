"""The help desk's own language model: trained from scratch on generated dialogues, in a minute.

It writes the way the personas do, good habits and bad, so it has much to learn from preferences.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from prefopt_core.ground.files import explained
from prefopt_core.ground.randomness import seed_for
from prefopt_core.models.loading import silence_libraries
from prefopt_core.models.threads import SMALL_MODEL, threads_for
from prefopt_core.worlds.helpdesk.grammar import (
    PERSONAS,
    draw_facts,
    draw_persona,
    write_prompt,
    write_response,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainingArguments

log = logging.getLogger(__name__)

PAD, USER, ASSISTANT, END = SPECIAL = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>")
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    f"{ASSISTANT}{{{{ m['content'] }}}}{END}"
    "{% else %}"
    f"{USER}{{{{ m['content'] }}}}"
    "{% endif %}{% endfor %}"
    f"{{% if add_generation_prompt %}}{ASSISTANT}{{% endif %}}"
)
POSITIONS = 256
IGNORED = -100  # the label that transformers' losses leave out
SAVE_EVERY = 100
"""Steps between checkpoints; a killed training loses that many at most."""
_SORTED = 16  # batches whose examples are sorted together
_TOKENIZER_SAMPLE = 8_000  # dialogues; more changes no merge that matters


def pretrain(
    output: Path,
    work: Path,
    seed: int,
    *,
    steps: int = 600,
    batch_size: int = 32,
    learning_rate: float = 5e-3,
    hidden_size: int = 128,
    layers: int = 2,
    heads: int = 4,
    vocabulary: int = 768,
    stars: Annotated[float, Field(ge=0, le=1)] = PERSONAS["star"].share,
) -> None:
    """Train the help desk's tiny language model from scratch; under a minute on one core.

    Args:
        output: Folder that gets weights, tokenizer and chat template.
        work: Folder of checkpoints; a killed training resumes from the last one.
        seed: Root of the dialogues, the first weights and the order.
        steps: Optimiser steps.
        batch_size: Dialogues per step; none is seen twice.
        learning_rate: Peak of a cosine schedule.
        hidden_size: Width of the model; the feed-forward layers are twice as wide.
        layers: Its depth.
        heads: Attention heads.
        vocabulary: Tokens of the byte-pair encoding.
        stars: Share of the dialogues that the best writer wrote; less is harder, since the policy
            has seldom seen what it is to prefer.
    """
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, set_seed

    log.info(
        "The help desk's own language model is trained from scratch, once: %d steps on made-up "
        "dialogues. Every run of this seed takes it from the store.",
        steps,
    )
    silence_libraries()
    rng = Random(seed_for("helpdesk", "pretraining", str(seed)))
    pairs = [_dialogue(rng, stars) for _ in range(steps * batch_size)]
    tokenizer = train_tokenizer(pairs[:_TOKENIZER_SAMPLE], vocabulary)
    set_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden_size,
            intermediate_size=2 * hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
            initializer_range=0.06,  # the usual 0.02 takes twice the steps to learn to copy facts
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    examples = _in_batches(_encode(tokenizer, pairs), batch_size, rng)
    # On a GPU a small model trains hardly faster, and its weights would differ in the last bits.
    on_cpu = model.num_parameters() < SMALL_MODEL
    with explained(work):
        arguments = _arguments(work, steps, batch_size, learning_rate, seed, on_cpu=on_cpu)
        _fit(model, examples, arguments)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    with explained(output):
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)


def _dialogue(rng: Random, stars: float) -> tuple[str, str]:
    facts = draw_facts(rng)
    return write_prompt(facts, rng), write_response(facts, rng, draw_persona(rng, stars))


def train_tokenizer(pairs: Sequence[tuple[str, str]], vocabulary: int) -> "PreTrainedTokenizerBase":
    """Byte-pair encoding of so many tokens, learned from (prompt, response), with its template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    encoding = Tokenizer(models.BPE())
    encoding.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoding.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    encoding.train_from_iterator((text for pair in pairs for text in pair), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=encoding,
        pad_token=PAD,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        model_max_length=POSITIONS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _encode(
    tokenizer: "PreTrainedTokenizerBase", pairs: Sequence[tuple[str, str]]
) -> list[dict[str, list[int]]]:
    """Token ids, and labels that count in the response only: prompts need not be learned."""
    asked = [f"{USER}{prompt}{ASSISTANT}" for prompt, _ in pairs]
    answered = [f"{response}{END}" for _, response in pairs]
    encoded = [
        tokenizer(texts, add_special_tokens=False)["input_ids"] for texts in (asked, answered)
    ]
    return [
        {"input_ids": prompt + response, "labels": [IGNORED] * len(prompt) + response}
        for prompt, response in zip(*encoded, strict=True)
    ]


def _in_batches(
    examples: list[dict[str, list[int]]], batch_size: int, rng: Random
) -> list[dict[str, list[int]]]:
    """Order examples so that a batch holds like lengths, and batches of all lengths alternate.

    The trainer's own grouping goes from long to short over fifty batches, which a training of
    as few steps as this one does not recover from.
    """
    ordered = []
    for start in range(0, len(examples), _SORTED * batch_size):
        group = examples[start : start + _SORTED * batch_size]
        group.sort(key=lambda example: len(example["input_ids"]))
        batches = [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
        rng.shuffle(batches)
        ordered += [example for batch in batches for example in batch]
    return ordered


def _arguments(
    work: Path, steps: int, batch_size: int, learning_rate: float, seed: int, *, on_cpu: bool
) -> "TrainingArguments":
    from transformers import TrainingArguments

    from prefopt_core.training.resume import RESUMABLE

    return TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=40,
        optim="adamw_torch_fused",
        adam_beta2=0.98,
        weight_decay=0.01,
        train_sampling_strategy="sequential",  # `_in_batches` has ordered them
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        use_cpu=on_cpu,
        seed=seed,
        save_steps=SAVE_EVERY,
        logging_strategy="no",
        **RESUMABLE,
    )


def _fit(model: Any, examples: list[dict[str, list[int]]], arguments: "TrainingArguments") -> None:
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import Trainer

    from prefopt_core.training.resume import attach, latest_checkpoint

    def collate(batch: list[dict[str, list[int]]]) -> dict[str, Any]:
        # Padding stands on the right, where a causal model cannot see it: no mask is needed.
        fill = {"input_ids": model.config.pad_token_id, "labels": IGNORED}
        padded = {
            name: pad_sequence([torch.tensor(row[name]) for row in batch], True, float(value))
            for name, value in fill.items()
        }
        # Logits are needed from the end of the shortest prompt on; its last token is the first
        # that predicts part of a response.
        start = min(row["labels"].count(IGNORED) for row in batch) - 1
        width = padded["labels"].shape[1]
        return padded | {"labels": padded["labels"][:, start:], "logits_to_keep": width - start}

    trainer = attach(
        Trainer(model=model, args=arguments, train_dataset=examples, data_collator=collate)
    )
    with threads_for(model):
        trainer.train(resume_from_checkpoint=latest_checkpoint(Path(str(arguments.output_dir))))
