"""Model folders.

Configuration, tokenizer and weights that do not fit each other; checked when a policy is loaded.
"""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from prefopt_core.generation import GENERATORS
from prefopt_core.ground.ids import Prompt
from prefopt_core.models.fitness import doubts_about
from prefopt_core.models.loading import release_models
from prefopt_core.models.start import import_model


@pytest.fixture
def load(tmp_path):
    """Take a folder as the start policy; what was doubtful."""

    def load(folder, **settings):
        (tmp_path / "policy").mkdir()
        import_model(tmp_path / "policy", tmp_path, 0, path=str(folder), **settings)
        return "; ".join(doubts_about(folder)) or "taken"

    return load


def edit(folder, file="config.json", **changes):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.mark.case(
    "A padding id beyond the embeddings in config.json",
    reports="tried here",
    before="AssertionError of torch, with a traceback, when the weights were loaded",
    expected="refused: config.json of start has pad_token_id 400, and the model 40 embeddings. …",
)
def test_padding_beyond_the_embeddings(make_model, load):
    return load(edit(make_model(), pad_token_id=400))


@pytest.mark.case(
    "A padding id of -1, as old Llama folders have",
    reports="tried here",
    before="taken",
    expected="taken",
)
def test_padding_of_minus_one(make_model, load):
    return load(edit(make_model(), pad_token_id=-1))


@pytest.mark.case(
    "An end id beyond the embeddings in config.json",
    reports="tried here",
    before="taken in silence",
    expected="refused: config.json of start has eos_token_id 400, and the model 40 embeddings. …",
)
def test_end_beyond_the_embeddings(make_model, load):
    return load(edit(make_model(), eos_token_id=[1, 400]))


@pytest.mark.case(
    "An end id beyond the embeddings in generation_config.json",
    reports="tried here",
    before="taken in silence",
    expected="refused: generation_config.json of start has eos_token_id 400, and the model 40 …",
)
def test_end_of_generation_beyond_the_embeddings(make_model, load):
    return load(edit(make_model(), "generation_config.json", eos_token_id=[1, 400]))


@pytest.mark.case(
    "Tokens added to the tokenizer, embeddings as they were",
    reports="huggingface/transformers#12763, OpenRLHF/OpenRLHF#87",
    before="taken; an IndexError once a text had such a token",
    expected="refused: The tokenizer in start has 10 tokens beyond the model's 40 embeddings, such "
    "as 'w40' (40). Enlarge the model …",
)
def test_tokens_without_embeddings(make_model, load):
    return load(make_model(tokenizer={"words": 50}))


@pytest.mark.case(
    "Sampling from a model whose embeddings are padded to a round size",
    reports="tried here",
    before="16 of 64 embeddings are no token, and every third token of a response was one",
    expected="… sampled, each a token",
)
def test_padding_of_embeddings_is_not_sampled(make_model):
    model = make_model(vocab_size=64, initializer_range=0.02, max_position_embeddings=256)
    prompt = Prompt("p", [{"role": "user", "content": "w4 w5"}])
    answers = GENERATORS["transformers"]([prompt], model, 20, 0, max_new_tokens=10)[0]
    release_models()
    ids = [i for answer in answers for i in answer.token_ids]
    others = sum(i >= 40 for i in ids)
    return f"{len(ids)} sampled, {f'{others} no token' if others else 'each a token'}"


@pytest.mark.case(
    "A policy with a weight that is NaN",
    reports="tried here",
    before="sampled all the same; “No pair can be made: all 0 annotations tie or were skipped”",
    expected="refused: The model start gives probabilities that are no numbers: …",
)
def test_weights_of_nan(make_model):
    model = make_model()
    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    prompt = Prompt("p", [{"role": "user", "content": "w4 w5"}])
    try:
        return str(GENERATORS["transformers"]([prompt], model, 2, 0, max_new_tokens=4))
    finally:
        release_models()


@pytest.mark.case(
    "Embeddings padded to a round size",
    reports="MoonshotAI/Kimina-Prover-Preview#6",
    before="taken",
    expected="taken",
)
def test_a_padded_matrix(make_model, load):
    return load(make_model(vocab_size=64))


@pytest.mark.case(
    "A tokenizer of another model, thousands of tokens smaller",
    reports="huggingface/transformers#29269",
    before="taken in silence; what was sampled beyond its tokens vanished from the text",
    expected="1960 of the model's 2000 embeddings belong to no token: …",
)
def test_a_tokenizer_of_another_model(make_model, load):
    return load(make_model(vocab_size=2000))


@pytest.mark.case(
    "Ends in generation_config.json that the tokenizer does not have as its own",
    reports="meta-llama/llama3#104",
    before="in silence: sampled responses end at either, given ones at the tokenizer's",
    expected="generation_config.json has eos_token_id 'w9' (9), the tokenizer '<eos>' (1). …",
)
def test_two_kinds_of_ends(make_model, load):
    return load(edit(make_model(), "generation_config.json", eos_token_id=[9]))


@pytest.mark.case(
    "A first token in config.json that is not the tokenizer's",
    reports="tried here",
    before="in silence",
    expected="config.json has bos_token_id 'w5' (5), the tokenizer 'w4' (4). …",
)
def test_two_kinds_of_beginnings(make_model, load):
    folder = make_model(tokenizer={"bos_token": "w4"})
    return load(edit(edit(folder, bos_token_id=5), "generation_config.json", bos_token_id=None))


@pytest.mark.case(
    "An end token whose embedding is that of other special tokens: never trained",
    reports="meta-pytorch/torchtune#2429",
    before="in silence",
    expected="The embedding of the end token '<eos>' (1) is that of '<unk>' (0): it was never "
    "trained, so responses may not end. …",
)
def test_an_untrained_end(make_model, load):
    folder = make_model(dtype=torch.bfloat16)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][:3] = 0.25
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return load(folder)


@pytest.mark.case(
    "A model that reads in both directions",
    reports="tried here",
    before="scored and trained with the future in view; transformers printed a hint",
    expected="refused: The model in start (bert) reads texts in both directions: …",
)
def test_an_encoder(make_model, load):
    return load(make_model("bert"))


@pytest.mark.case(
    "A classifier whose embeddings would do as an output layer",
    reports="tried here",
    before="taken as a policy: tied embeddings leave no weight missing",
    expected="refused: The model in start is a LlamaForSequenceClassification, which does not "
    "continue texts. …",
)
def test_a_classifier(make_model, load):
    folder = make_model(tie_word_embeddings=True)
    config = AutoConfig.from_pretrained(folder)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return load(folder)


@pytest.mark.case(
    "Weights that Git LFS has not fetched",
    reports="tried here",
    before="refused when they were loaded: “header too large”",
    expected="refused: start/model.safetensors is no whole safetensors file … It is a pointer of "
    "Git LFS: run `git lfs pull` where it came from.",
)
def test_a_pointer(make_model, load):
    folder = make_model()
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid")
    return load(folder)


@pytest.mark.case(
    "A part of the weights is missing",
    reports="tried here",
    before="refused when they were loaded",
    expected="refused: start lacks model-00002-of-00002.safetensors, which "
    "model.safetensors.index.json lists. Download the model again.",
)
def test_a_missing_part(make_model, load):
    folder = make_model()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    shutil.move(folder / "model.safetensors", folder / names[0])
    index = {"weight_map": dict(enumerate(names))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return load(folder)


@pytest.mark.case(
    "Weights of one model, config.json of another",
    reports="tried here",
    before="refused when they were loaded, by “see the above report”",
    expected="refused: The model in start has 40 token embeddings (model.embed_tokens.weight) and "
    "a vocab_size of 48 in its config.json. …",
)
def test_a_config_of_another_model(make_model, load):
    return load(edit(make_model(), vocab_size=48))


@pytest.mark.case(
    "Weights that are quantised (GPTQ), and the package that reads them is not there",
    reports="tried here",
    before="ImportError, with a traceback",
    expected="refused: Cannot load start by AutoModelForCausalLM: …",
)
def test_quantised_weights(make_model):
    quantised = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    model = edit(make_model(), quantization_config=quantised)
    prompt = Prompt("p", [{"role": "user", "content": "w4 w5"}])
    return str(GENERATORS["transformers"]([prompt], model, 2, 0, max_new_tokens=4))
