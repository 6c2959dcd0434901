"""Recipes: valid, planned as they are, and run with other models and data in their place."""

import json
import re
import shutil

import pytest

from prefopt_core.experiments.sources import SHIPPED, load_run, shipped

RECIPES = sorted((SHIPPED / "presets" / "recipes").glob("*.yaml"))
NAMES = [path.stem for path in RECIPES]
ROUNDS = {
    "spa": ["rounds=[{prompts: 4}, {prompts: 4}, {prompts: 4}]"],
    "align": [
        "rounds=[{prompts: 4, labels: 8, epochs: 3}, {prompts: 4}, {prompts: 4}]",
        "annotation.params.model=RM",
    ],
    "aepo": ["budget=8", "annotation.params.model=RM", "embedding.params.model=all-MiniLM-L6-v2"],
}
DATA = {
    "hub": ["prompts.params.dataset=DATA"],
    "file": ["prompts.params.path=DATA/train.jsonl", "prompts.params.limit=8"],
    "mixture": [
        "prompts.params.parts.0.params.dataset=DATA",
        "prompts.params.parts.1.params.dataset=MORE",
        "prompts.params.count=18",
    ],
}


def pair(number):
    """A row as UltraFeedback's."""
    prompt = f"How do I mend number {number}?"
    sides = {"chosen": f"Glue it, number {number}.", "rejected": "Buy a new one."}
    turns = {
        name: [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
        for name, text in sides.items()
    }
    return {"source": "x", "prompt": prompt, **turns, "chosen-rating": 5.0, "rejected-rating": 2.0}


@pytest.fixture
def reward_model(tiny_tokenizer, tmp_path):
    from transformers import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=2, pad_token_id=tiny_tokenizer.pad_token_id, num_labels=1,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(tmp_path / "rm")
    tiny_tokenizer.save_pretrained(tmp_path / "rm")
    return tmp_path / "rm"


@pytest.fixture
def small(tmp_path, tiny_model, reward_model):
    """Name in a recipe's place → what is small and here."""
    policy = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((policy / "config.json").read_text())
    (policy / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 2048}))
    for name, first, last in (("data", 0, 40), ("more", 40, 60)):
        (tmp_path / name).mkdir()
        lines = "".join(json.dumps(pair(i)) + "\n" for i in range(first, last))
        (tmp_path / name / "train.jsonl").write_text(lines)
    (tmp_path / "seed.jsonl").write_text("".join(json.dumps(pair(i)) + "\n" for i in range(60, 66)))
    named = {"MODEL": policy, "RM": reward_model, "SEED": tmp_path / "seed.jsonl"}
    return named | {"DATA": tmp_path / "data", "MORE": tmp_path / "more"}


@pytest.fixture
def miniature(small):
    def miniature(name):
        """What is typed behind `prefopt run NAME` to see the recipe run on a laptop."""
        flow, config = load_run(name, {})
        changes = ["policy.params.path=MODEL", "evaluation.params.model=RM", "evaluation.prompts=4"]
        if config.generation.generator == "vllm":
            changes += ["generation.generator=transformers", "generation.params={}", "scoring={}"]
        changes += [
            "generation.params.max_new_tokens=16",
            *DATA[config.prompts.source],
            *ROUNDS[flow],
        ]
        changes += ["seed_preferences.path=SEED"] if flow == "spa" else []
        changes += ["training.launch={}"] if config.training.launch.processes > 1 else []
        if config.training.steps:
            changes += ["training.steps=2", "pairing.finished=false"]  # 16 tokens end nothing
        for word, path in small.items():
            changes = [change.replace(word, str(path)) for change in changes]
        return changes

    return miniature


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_a_recipe_is_valid_and_its_first_line_says_model_data_and_gpus(path):
    _, config = load_run(path.stem, {})
    said = shipped()[0][path.stem]
    model = config.policy.params["path"].rpartition("/")[2]
    assert model in said or model.startswith("Llama-3-Base-8B")
    assert "UltraFeedback" in said or "AlpacaFarm" in said
    assert said.endswith("GB.") or said.endswith("GB each.")
    grader = config.evaluation.params["model"]
    if annotation := getattr(config, "annotation", None):
        assert annotation.params["model"] != grader


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_planned_with_models_of_the_hub_and_data_that_are_here(
    prefopt, name, small, store
):
    flow, config = load_run(name, {})
    changes = [f"seed_preferences.path={small['SEED']}"] if flow == "spa" else []
    if config.prompts.source == "file":
        rows = "".join(json.dumps(pair(i)) + "\n" for i in range(4500))
        (file := small["DATA"] / "many.jsonl").write_text(rows)
        changes.append(f"prompts.params.path={file}")
    code, output, error = prefopt("plan", name, *changes)
    assert code == 0, error
    model = config.policy.params["path"]
    assert f"{model}', so `policy.params.path` is taken for a hub id" in output
    billions = re.search(r"([\d.]+)b", model.lower())[1]
    assert f"{model} has {billions}B parameters by its name" in output
    assert re.search(r"GPU: about [\d.]+ hours of an A100 \(.*train [\d.]+", output)
    assert re.search(r"Tokens: at most .* M written.* M trained, with 200 of each prompt", output)
    assert re.search(r"of checkpoints\); in training [\d.]+ GiB of each GPU", output)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs_in_miniature_with_other_models_and_data(prefopt, name, miniature, store):
    code, output, error = prefopt("run", name, *miniature(name), "--no-server")
    assert code == 0, output + error
    trained = len(list(store.manifests("train")))
    assert trained == {"aepo": 1, "spa": 4, "align": 3}[load_run(name, {})[0]]
    assert list(store.manifests("grade"))
