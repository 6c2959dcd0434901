"""A GGUF file becomes a policy with its weights, tokenizer and template; others are refused."""

import json
import shutil

import gguf
import pytest
import torch

from prefopt_core.ground.errors import ConfigError
from prefopt_core.models.loading import load_model
from prefopt_core.models.settings import PolicyConfig
from prefopt_core.models.start import check_import_model, import_model
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids
from tests.small_tokenizers import trained

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
Q8, F32 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F32
HELLO = [{"role": "user", "content": "How do I reset it?"}]


@pytest.fixture(scope="module")
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = trained("byte-level", SPECIAL, (), "")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
        max_position_embeddings=128, tie_word_embeddings=True,
    )  # fmt: skip
    network = LlamaForCausalLM(config).eval()
    for weight in network.parameters():
        if weight.ndim == 2:  # as they are in blocks of 8 bits, so that a file loses nothing
            blocks = gguf.quants.quantize(weight.detach().numpy(), Q8)
            weight.data = torch.from_numpy(gguf.quants.dequantize(blocks, Q8))
    return network, tokenizer


def interleaved(weight, heads):
    """Rows of a projection as llama.cpp has them: the halves that rotate together side by side."""
    rows = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, rows, -1).swapaxes(1, 2).reshape(weight.shape)


def write(path, model, *, template=TEMPLATE, change=lambda writer: None):
    """A GGUF file as llama.cpp's converter writes it; matrices in blocks of 8 bits."""
    network, tokenizer = model
    config, writer = network.config, gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    settings = json.loads(tokenizer.to_str())["model"]
    words = sorted(settings["vocab"], key=settings["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3 if word in SPECIAL else 1 for word in words])
    writer.add_token_merges([" ".join(merge) for merge in settings["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if template:
        writer.add_chat_template(template)
    change(writer)
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm", "model.embed_tokens": "token_embd",
        "model.norm": "output_norm", "model.layers": "blk",
    }  # fmt: skip
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, tensor in network.state_dict().items():
        if name == "lm_head.weight":
            continue
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        values = tensor.numpy()
        for part, count in heads.items():
            values = interleaved(values, count) if part in name else values
        kind = Q8 if values.ndim == 2 else F32
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return write(tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf", model)


def test_the_policy_has_the_files_weights_tokenizer_and_template(model, file, tmp_path):
    network, tokenizer = model
    assert list(check_import_model(path=str(file), chat_template=None)) == []
    import_model(tmp_path, tmp_path, 0, path=str(file))
    ids = prompt_token_ids(load_tokenizer(tmp_path), HELLO)
    text = "<|im_start|>user\nHow do I reset it?<|im_end|>\n<|im_start|>assistant\n"
    assert ids == tokenizer.encode(text).ids
    policy = load_model(tmp_path)
    assert (policy.dtype, policy.config.tie_word_embeddings) == (torch.float32, True)
    assert "quantization_config" not in (tmp_path / "config.json").read_text()
    with torch.no_grad():
        ours, theirs = (m(torch.tensor([ids])).logits for m in (policy, network))
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_the_key_has_the_files_content_and_not_its_place(file, tmp_path):
    copy = shutil.copy(file, tmp_path / "elsewhere.gguf")
    here, there = (PolicyConfig(params={"path": str(path)}).key_part() for path in (file, copy))
    assert here == there
    with copy.open("ab") as more:
        more.write(b"x")
    assert PolicyConfig(params={"path": str(copy)}).key_part() != here


def refused(path, message, template=None):
    with pytest.raises(ConfigError, match=message):
        list(check_import_model(path=str(path), chat_template=template))


def test_what_cannot_be_unpacked_is_refused_before_a_run(model, file, tmp_path):
    refused(tmp_path / "none.gguf", r"no file .*none\.gguf'.*`hf download OWNER/NAME FILE\.gguf")
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    refused(tmp_path / "pointer.gguf", "is no whole GGUF file")
    (tmp_path / "short.gguf").write_bytes(file.read_bytes()[:900])
    refused(tmp_path / "short.gguf", "is no whole GGUF file")
    part = write(
        tmp_path / "a-00001-of-00002.gguf", model, change=lambda w: w.add_uint16("split.count", 2)
    )
    refused(part, r"one of 2 parts\. Join them first: `llama-gguf-split")
    base = write(tmp_path / "base.gguf", model, template="")
    refused(base, r"base\.gguf has no chat template\. Set `policy\.params\.chat_template`")
    assert list(check_import_model(path=str(base), chat_template="plain")) == []
    refused(file.parent, r"it has tiny\.Q8_0\.gguf: give the path of that file")


def test_an_architecture_that_transformers_does_not_know_is_refused_by_the_files_name(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "zzz")
    writer.add_tokenizer_model("gpt2")
    writer.add_chat_template(TEMPLATE)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ConfigError, match=r"odd\.gguf cannot be unpacked: .*zzz"):
        import_model(tmp_path / "out", tmp_path, 0, path=str(tmp_path / "odd.gguf"))
