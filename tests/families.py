"""Chat templates and tokenizers of twenty families of models, made small.

The templates have a family's markers and shape, in words of our own. Tokenizers are trained here on
a few sentences: byte-level BPE, SentencePiece's BPE (spaces as ▁, bytes for the rest) with and
without a space at the start of a text, Unigram, and WordPiece.
"""

from dataclasses import dataclass
from typing import Any

from tests.small_tokenizers import trained


def _turns(opening: str, ending: str, generation: str, *, roles: bool = True) -> str:
    """Turns of `opening`, content and `ending`; {} in them is the role."""
    role = "' + m.role + '" if roles else ""
    return (
        "{% for m in messages %}{{ '" + opening.replace("{}", role) + "' + m.content + '"
        + ending + "' }}{% endfor %}{% if add_generation_prompt %}{{ '" + generation + "' }}"
        "{% endif %}"
    )  # fmt: skip


def _named(
    user: str, assistant: str, system: str = "", start: str = "", generation: str = ""
) -> str:
    """Turns by role; c is the content, stripped."""
    return (
        start + "{% for m in messages %}{% set c = m.content | trim %}"
        "{% if m.role == 'user' %}{{ " + user + " }}{% elif m.role == 'assistant' %}{{ "
        + assistant + " }}{% else %}{{ " + (system or "c") + " }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '" + generation + "' }}{% endif %}"
    )  # fmt: skip


_CHATML = _turns(r"<|im_start|>{}\n", r"<|im_end|>\n", r"<|im_start|>assistant\n")
_MISTRAL = (
    "{{{{ bos_token }}}}{{% for m in messages %}}{{% if m.role == 'assistant' %}}"
    "{{{{ '{0}' + m.content + eos_token }}}}{{% else %}}"
    "{{{{ '[INST]{0}' + m.content + '{1}[/INST]' }}}}"
    "{{% endif %}}{{% endfor %}}"
)
_THINK_BACK = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% set c = m.content %}{% set r = '' %}"
    "{% if '</think>' in c %}{% set r = c.split('</think>')[0].split('<think>')[-1].strip('\\n') %}"
    "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
    "{{ '<|im_start|>assistant\\n' }}{% if loop.last %}{{ '<think>\\n' + r + '\\n</think>\\n\\n' }}"
    "{% endif %}{{ c + '<|im_end|>\\n' }}{% else %}"
    "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_THINK_CLOSED = _THINK_BACK.removesuffix(" }}{% endif %}") + " + '<think>\\n' }}{% endif %}"
_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<|User|>' + m.content }}"
    "{% elif m.role == 'assistant' %}{{ '<|Assistant|>' + m.content.split('</think>')[-1] + "
    "eos_token }}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A family: `end` is the token (or None) that ends a turn, `eos` the tokenizer's."""

    kind: str
    template: str
    end: str | None
    eos: str
    special: tuple[str, ...] = ()
    bos: str | None = None
    adds_bos: bool = False
    plain: tuple[str, ...] = ()  # added tokens that are not special

    def tokenizer(self, **changes: Any) -> Any:
        """A tokenizer with the template."""
        from transformers import PreTrainedTokenizerFast

        names = dict.fromkeys((*self.special, self.eos, "<unk>"))
        if self.bos:
            names = dict.fromkeys([*names, self.bos])
        made = PreTrainedTokenizerFast(
            tokenizer_object=trained(self.kind, tuple(names), self.plain, self.bos * self.adds_bos
                                      if self.bos else ""),
            eos_token=self.eos, bos_token=self.bos, unk_token="<unk>", pad_token=self.eos,
            clean_up_tokenization_spaces=False,
        )  # fmt: skip
        made.chat_template = changes.get("template", self.template)
        return made


FAMILIES: dict[str, Family] = {
    "ChatML": Family("byte-level", _CHATML, "<|im_end|>", "<|im_end|>", ("<|im_start|>",)),
    "Qwen2.5": Family(
        "byte-level",
        "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}"
        "{% endif %}" + _CHATML,
        "<|im_end|>", "<|im_end|>", ("<|endoftext|>", "<|im_start|>"),
    ),
    "Qwen3": Family(
        "byte-level", _THINK_BACK, "<|im_end|>", "<|im_end|>", ("<|endoftext|>", "<|im_start|>"),
        plain=("<think>", "</think>"),
    ),
    "Prompts open reasoning, finished turns close it": Family(
        "byte-level", _THINK_CLOSED, "<|im_end|>", "<|im_end|>", ("<|im_start|>",),
        plain=("<think>", "</think>"),
    ),
    "SmolLM, end in no list": Family(
        "byte-level", _CHATML, "<|im_end|>", "<|endoftext|>", ("<|im_start|>", "<|im_end|>")
    ),
    "Llama 2": Family(
        "llama",
        _named("bos_token + '[INST] ' + c + ' [/INST]'", "' ' + c + ' ' + eos_token",
               "'<<SYS>>' + c + '<</SYS>>'"),
        "</s>", "</s>", bos="<s>", adds_bos=True,
    ),
    "Llama 3": Family(
        "byte-level",
        "{{ bos_token }}" + _turns(
            r"<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>",
            r"<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        "<|eot_id|>", "<|end_of_text|>",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>", adds_bos=True,
    ),
    "Gemma": Family(
        "gemma",
        _named(r"'<start_of_turn>user\n' + c + '<end_of_turn>\n'",
               r"'<start_of_turn>model\n' + c + '<end_of_turn>\n'",
               start="{{ bos_token }}", generation=r"<start_of_turn>model\n"),
        "<end_of_turn>", "<eos>", ("<start_of_turn>", "<end_of_turn>"), bos="<bos>", adds_bos=True,
    ),
    "Mistral v1": Family(
        "llama", _MISTRAL.format(" ", " "), "</s>", "</s>", bos="<s>", adds_bos=True
    ),
    "Mistral v3": Family(
        "llama-new", _MISTRAL.format(" ", ""), "</s>", "</s>", ("[INST]", "[/INST]"),
        bos="<s>", adds_bos=True,
    ),
    "Mistral Tekken": Family(
        "byte-level", _MISTRAL.format("", ""), "</s>", "</s>", ("[INST]", "[/INST]"), bos="<s>"
    ),
    "Zephyr": Family(
        "llama-new", _turns(r"<|{}|>\n", "</s>\\n", r"<|assistant|>\n"), "</s>", "</s>", bos="<s>",
        adds_bos=True,
    ),
    "Phi-3": Family(
        "llama",
        _turns(r"<|{}|>\n", r"<|end|>\n", r"<|assistant|>\n")
        + "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}",
        "<|end|>", "<|endoftext|>", ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
        bos="<s>",
    ),
    "Phi-4": Family(
        "byte-level",
        _turns("<|im_start|>{}<|im_sep|>", "<|im_end|>", "<|im_start|>assistant<|im_sep|>"),
        "<|im_end|>", "<|endoftext|>", ("<|im_start|>", "<|im_sep|>", "<|im_end|>"),
    ),
    "DeepSeek": Family(
        "byte-level",
        _named("'User: ' + c + '\\n\\n'", "'Assistant: ' + c + eos_token", start="{{ bos_token }}",
               generation="Assistant:"),
        "<|end_of_sentence|>", "<|end_of_sentence|>", bos="<|begin_of_sentence|>", adds_bos=True,
    ),
    "DeepSeek-R1": Family(
        "byte-level", _R1, "<|end_of_sentence|>", "<|end_of_sentence|>",
        ("<|User|>", "<|Assistant|>"), bos="<|begin_of_sentence|>", plain=("<think>", "</think>"),
    ),
    "Command-R": Family(
        "byte-level",
        "{{ bos_token }}" + _turns(
            "<|START_OF_TURN_TOKEN|><|{}_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
            "<|START_OF_TURN_TOKEN|><|assistant_TOKEN|>",
        ),
        "<|END_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
        ("<|START_OF_TURN_TOKEN|>", "<|user_TOKEN|>", "<|assistant_TOKEN|>"), bos="<BOS_TOKEN>",
    ),
    "OLMo, Tulu": Family(
        "byte-level",
        _named(r"'<|user|>\n' + c + '\n'", r"'<|assistant|>\n' + c + eos_token + '\n'",
               generation=r"<|assistant|>\n"),
        "<|endoftext|>", "<|endoftext|>",
    ),
    "Falcon": Family(
        "byte-level",
        _named("'User: ' + c", "'\\n\\nAssistant: ' + c + '\\n\\n'", generation=r"\n\nAssistant:"),
        None, "<|endoftext|>",
    ),
    "StableLM": Family(
        "byte-level", _turns(r"<|{}|>\n", r"<|endoftext|>\n", r"<|assistant|>\n"),
        "<|endoftext|>", "<|endoftext|>", ("<|user|>", "<|assistant|>"),
    ),
    "Vicuna": Family(
        "llama",
        _named("'USER: ' + c + ' '", "'ASSISTANT: ' + c + eos_token", start="A chat. ",
               generation="ASSISTANT:"),
        "</s>", "</s>", bos="<s>", adds_bos=True,
    ),
    "Alpaca": Family(
        "unigram",
        _named(r"'### Instruction:\n' + c + '\n\n'", r"'### Response:\n' + c + '\n\n'",
               generation=r"### Response:\n"),
        None, "</s>", bos="<s>",
    ),
    "Granite": Family(
        "byte-level",
        _turns("<|start_of_role|>{}<|end_of_role|>", r"<|end_of_text|>\n",
               "<|start_of_role|>assistant<|end_of_role|>"),
        "<|end_of_text|>", "<|end_of_text|>", ("<|start_of_role|>", "<|end_of_role|>"),
    ),
    "WordPiece": Family(
        "wordpiece", _turns("[{}]", "[END]", "[assistant]"), "[END]", "[SEP]",
        ("[user]", "[assistant]", "[END]"),
    ),
}  # fmt: skip
