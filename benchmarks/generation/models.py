"""What the generation benchmark writes with: the help desk's model, or a larger one of noise."""

from pathlib import Path

from prefopt_core.worlds.helpdesk.pretraining import pretrain, train_tokenizer
from prefopt_core.worlds.helpdesk.prompts import prompts

LARGE = 151_936
"""Tokens of Qwen2.5's vocabulary: sampling from so many has a cost of its own."""

SHAPES = {  # hidden, intermediate, layers, heads, key/value heads, vocabulary
    "14M": (384, 1024, 8, 6, 6, 768),
    "25M": (512, 1376, 8, 8, 8, 768),
    "0.5B": (896, 4864, 24, 14, 2, LARGE),
    "1.5B": (1536, 8960, 28, 12, 2, LARGE),
    "3B": (2048, 11008, 36, 16, 2, LARGE),
    "7B": (3584, 18944, 28, 28, 4, LARGE),
}
"""Those in billions are Qwen2.5's."""

POSITIONS = 4096


def model_at(named: str, folder: Path) -> Path:
    """The model of that name, made in `folder` if it is none of a user's own."""
    if named == "helpdesk":
        (folder / "model").mkdir()
        pretrain(folder / "model", folder / "work", 0)
        return folder / "model"
    if named.startswith("random:"):
        return random_model(named.removeprefix("random:"), folder / "model")
    return Path(named)


def random_model(size: str, folder: Path) -> Path:
    """A Qwen2 of that size, never trained, with the help desk's tokenizer; bfloat16 on a GPU.

    Tokens behind the tokenizer's own are drawn, too, and have no text.
    """
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM, set_seed

    if size not in SHAPES:
        raise SystemExit(f"There is no random:{size}. Sizes: {', '.join(SHAPES)}.")
    hidden, intermediate, layers, heads, shared, vocabulary = SHAPES[size]
    tokenizer = train_tokenizer([(text, text) for text in prompts(8000, seed=0)], 768)
    tokenizer.model_max_length = POSITIONS
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    gpu = torch.cuda.is_available()
    set_seed(0)
    with torch.device("cuda" if gpu else "cpu"):  # drawing billions of numbers on a CPU takes long
        model = Qwen2ForCausalLM._from_config(
            Qwen2Config(
                vocab_size=vocabulary,
                hidden_size=hidden,
                intermediate_size=intermediate,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=shared,
                max_position_embeddings=POSITIONS,
                tie_word_embeddings=True,
                bos_token_id=None,
                **ends,
            ),
            dtype=torch.bfloat16 if gpu else torch.float32,
        )
    model.generation_config = GenerationConfig(**ends)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del model
    torch.cuda.empty_cache()
    return folder
