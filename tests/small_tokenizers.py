"""Tokenizers of all kinds, trained on a few sentences."""

import json
from functools import cache
from typing import Any

_CORPUS = [
    "How do I reset my password? Open the settings, choose account, then reset.",
    "My printer is out of paper. Load the tray, close it and press the green button!",
    "The red ball rolled away. Then she saw it again. Hello there, they said. Her hello.",
    "user assistant system Question Answer: ### Instruction Response USER ASSISTANT [INST] [/INST]",
] * 3


def trained(kind: str, special: tuple[str, ...], plain: tuple[str, ...], bos: str) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer.from_str(_base(kind, special))
    tokenizer.add_tokens(list(plain))
    if bos:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return tokenizer


@cache
def _base(kind: str, special: tuple[str, ...]) -> str:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    names = list(special)
    byte_names = [f"<0x{byte:02X}>" for byte in range(256)]
    if kind == "byte-level":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=420, special_tokens=names, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(cleanup=False)
        trainer = trainers.WordPieceTrainer(
            vocab_size=300, special_tokens=names, show_progress=False,
            initial_alphabet=[chr(code) for code in range(33, 127)],
        )  # fmt: skip
    else:  # SentencePiece's, as converted: "▁" for spaces, at the start of each text or not
        unigram = kind == "unigram"
        tokenizer = Tokenizer(
            models.Unigram(byte_fallback=True) if unigram
            else models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
        )  # fmt: skip
        spaces = normalizers.Replace(" ", "▁")
        if kind == "llama":  # the space is put before every stretch between control tokens
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
        elif kind == "gemma":  # never
            tokenizer.normalizer = spaces
        else:  # at the start of the text only
            scheme = "first" if kind == "llama-new" else "always"
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
                "▁", prepend_scheme=scheme, split=unigram
            )
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        steps += [] if kind == "gemma" else [decoders.Strip(" ", 1, 0)]
        tokenizer.decoder = decoders.Sequence(steps)
        chosen = trainers.UnigramTrainer if unigram else trainers.BpeTrainer
        trainer = chosen(
            vocab_size=620, special_tokens=[*names, *byte_names], show_progress=False,
            initial_alphabet=["▁", *map(chr, range(33, 127))],
            **({"unk_token": "<unk>"} if unigram else {"max_token_length": 12}),
        )  # fmt: skip
    if kind in ("llama", "gemma"):  # no pre-tokenizer splits words: merges would cross them
        corpus = [word for text in _CORPUS for word in text.replace(" ", " ▁").split(" ")]
    else:
        corpus = _CORPUS
    tokenizer.train_from_iterator(corpus, trainer)
    settings = json.loads(tokenizer.to_str())
    settings["added_tokens"] = [
        t for t in settings["added_tokens"] if t["content"] not in byte_names
    ]
    if kind == "unigram":
        settings["model"]["byte_fallback"] = True  # which its trainer forgets
    return json.dumps(settings)
