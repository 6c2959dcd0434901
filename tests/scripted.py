"""A model that writes what a test wants: what comes next depends on the position alone."""

from pathlib import Path

POSITIONS = 128


def scripted_model(folder: Path, tokenizer, script: dict[int, int]) -> Path:
    """Save a model, with its tokenizer, that writes token `script[i]` at position i; else EOS."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    network = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer), n_positions=POSITIONS, n_embd=POSITIONS, n_layer=1, n_head=1,
            bos_token_id=None, eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=False,
        )
    )  # fmt: skip
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        network.transformer.wpe.weight.copy_(torch.eye(POSITIONS))
        network.transformer.ln_f.weight.fill_(1.0)
        for position in range(POSITIONS):
            token = script.get(position + 1, tokenizer.eos_token_id)
            network.lm_head.weight[token, position] = 99.0
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def behind(prompt: list[int], response: list[int]) -> dict[int, int]:
    """The script of a response to a prompt."""
    return {len(prompt) + i: token for i, token in enumerate(response)}
