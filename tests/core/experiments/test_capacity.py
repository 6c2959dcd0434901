"""Disk and memory that a run takes, by the tensors of its start policy."""

import json

import pytest

from prefopt_core.experiments.capacity import Parameters, sizes_of, too_large
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.models.settings import PolicyConfig

HELPDESK = {"annotator": "function", "params": {"function": "helpdesk"}}
TENSORS = {
    "model.embed_tokens.weight": [50, 8],
    "layer.q_proj.weight": [8, 8],
    "layer.up_proj.weight": [32, 8],
    "layer.norm.weight": [8],
    "lm_head.weight": [50, 8],
}
PARAMETERS = 400 + 64 + 256 + 8 + 400


@pytest.fixture
def folder(tmp_path):
    """Write a safetensors file of some shapes; its content is a hole, however large."""

    def folder(shapes=TENSORS, dtype="BF16", width=2):
        header, end = {}, 0
        for name, shape in shapes.items():
            size = width
            for length in shape:
                size *= length
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
            end += size
        text = json.dumps(header).encode()
        with (tmp_path / "model.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + end)
        return tmp_path

    return folder


def run(rounds=2, flow="align", **training):
    settings = {
        "policy": {"source": "helpdesk"},
        "prompts": {"source": "helpdesk", "params": {"count": 30}},
        "generation": {"n": 4, "params": {"max_new_tokens": 10}},
        "annotation": HELPDESK,
        "budget": 8,
        "rounds": [{"prompts": 5, "labels": 8}, *[{"prompts": 5}] * (rounds - 1)],
        "training": training,
    }
    return CONFIGS[flow].model_validate(settings)


def test_all_weights_are_kept_in_float32_after_every_round(folder):
    sizes = sizes_of(run(rounds=3), folder())
    assert (sizes.policies, sizes.policy) == (3, 4 * PARAMETERS)
    assert sizes.checkpoints == 3 * 12 * PARAMETERS  # weights and AdamW's two moments
    assert sizes.training == 16 * PARAMETERS
    assert sizes.responses == 15 * 4 * 10 * 8  # prompts, n, tokens, bytes


def test_half_precision_and_leaner_optimisers_take_less(folder):
    sizes = sizes_of(run(save_dtype="start", optimizer="adafactor"), folder())
    assert sizes.policy == pytest.approx(2 * PARAMETERS, rel=0.5)  # and the header
    assert sizes.policy == (folder() / "model.safetensors").stat().st_size
    assert sizes.training == 8 * PARAMETERS


def test_lora_trains_its_adapters_alone_and_keeps_them_if_they_are_not_merged(folder):
    adapted = 2 * (8 + 8) + 2 * (32 + 8)
    lora = {"r": 2, "merge": False}
    sizes = sizes_of(run(lora=lora), folder())
    assert sizes.policy == 4 * adapted
    assert sizes.checkpoints == 3 * 12 * adapted
    assert sizes_of(run(lora={"r": 2}), folder()).policy == 4 * PARAMETERS
    named = sizes_of(run(lora=lora | {"target_modules": ["q_proj"]}), folder())
    assert named.policy == 4 * 2 * (8 + 8)


def test_what_gpus_share_each_of_them_holds_a_part_of(folder):
    whole, state = 4 * PARAMETERS, 12 * PARAMETERS

    def held(**launch):
        return sizes_of(run(launch=launch), folder()).training

    assert held(processes=4) == whole + state
    assert held(processes=4, strategy="fsdp") == held(processes=4, strategy="zero3")
    assert held(processes=4, strategy="fsdp") == (whole + state) / 4
    assert held(processes=4, strategy="zero2") == whole + state / 4
    assert held(processes=4, strategy="zero2", offload=True) == whole


def test_quantised_are_the_layers_without_embeddings_and_output(folder):
    lora, adapted = {"r": 2}, 2 * (8 + 8) + 2 * (32 + 8)
    plain, four = (
        sizes_of(run(lora=lora, quantize=q), folder()).training - 16 * adapted
        for q in (None, "nf4")
    )
    assert plain - four == pytest.approx((2 - 0.52) * (64 + 256), abs=200)  # and the header's part


def test_a_training_that_ends_before_its_first_checkpoint_writes_none(folder):
    assert sizes_of(run(steps=9, save_every=10), folder()).checkpoints == 0


def test_a_policy_that_is_not_here_is_not_counted():
    sizes = sizes_of(run(), None)
    assert (sizes.policy, sizes.training) == (0, 0)
    assert sizes.disk == sizes.responses > 0


def test_a_small_policy_fits(folder, tmp_path):
    assert list(too_large(run(), folder(), tmp_path / "no" / "store")) == []


def test_a_policy_beyond_disk_and_memory_is_two_doubts(folder, tmp_path):
    large = folder({"model.embed_tokens.weight": [1_000_000, 1_000_000]})
    disk, memory = too_large(run(), large, tmp_path / "store")
    assert disk.startswith("disk: ")
    assert "2 × 3,725.3 GiB of policies" in disk
    assert f" GiB are free at {tmp_path}. Free some" in disk
    assert memory.startswith("training: weights, gradients and the optimiser's state take 14,901.2")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mistralai/Mistral-7B-v0.1", 7e9),
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.5e9),
        ("HuggingFaceTB/SmolLM2-135M", 135e6),
        ("meta-llama/Llama-3.3-70B-Instruct", 70e9),
        ("mistralai/Mixtral-8x7B-v0.1", None),
        ("OpenAssistant/reward-model-deberta-v3-large-v2", None),
        ("7B-models/gpt2", None),
    ],
)
def test_a_model_that_is_not_here_is_as_large_as_its_name_says(name, count):
    said = Parameters.named(name)
    assert (said.count if said else None) == count


def test_what_a_model_that_is_not_here_takes_goes_by_its_name():
    def sizes(**training):
        policy = PolicyConfig(params={"path": "owner/some-7B-sft"})
        return sizes_of(run(**training).model_copy(update={"policy": policy}), None)

    whole = sizes()
    assert (whole.policy, whole.training) == (4 * 7 * 10**9, 16 * 7 * 10**9)
    assert sizes(launch={"processes": 8, "strategy": "fsdp"}).training == 2 * 7 * 10**9
    assert 14e9 < sizes(lora={"r": 64}).training < 18e9
    assert 3.6e9 < sizes(lora={"r": 64}, quantize="nf4").training < 7.5e9
    nameless = run().model_copy(update={"policy": PolicyConfig(params={"path": "owner/gpt2"})})
    assert sizes_of(nameless, None).training == 0


@pytest.mark.parametrize(
    ("parameters", "hidden", "key", "inner", "layers"),
    [
        pytest.param(7.24e9, 4096, 1024, 14336, 32, id="Mistral-7B"),
        pytest.param(0.494e9, 896, 128, 4864, 24, id="Qwen2.5-0.5B"),
        pytest.param(70.6e9, 8192, 1024, 28672, 80, id="Llama-3.3-70B"),
    ],
)
def test_adapters_by_the_size_of_a_model_are_near_those_of_its_layers(
    parameters, hidden, key, inner, layers
):
    of_layers = 64 * layers * (2 * 2 * hidden + 2 * (hidden + key) + 3 * (hidden + inner))
    config = run(lora={"r": 64, "merge": False})
    policy = PolicyConfig(params={"path": f"owner/some-{parameters / 1e9}b"})
    by_name = sizes_of(config.model_copy(update={"policy": policy}), None).policy / 4
    assert by_name == pytest.approx(of_layers, rel=0.15)
