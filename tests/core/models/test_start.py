"""Model folders: what can be prompted and loaded is taken, the rest refused by name."""

import json
import re
import shlex
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from prefopt_core.ground.errors import ConfigError
from prefopt_core.models.loading import load_model
from prefopt_core.models.start import check_import_model, import_model
from prefopt_core.models.tokens import PLAIN_TEMPLATE, load_tokenizer


@pytest.fixture
def folder(tiny_model, tmp_path):
    """A copy of the tiny model to break."""
    return shutil.copytree(tiny_model, tmp_path / "mine")


@pytest.fixture
def take(folder, tmp_path):
    """Import the copy; returns the folder of the policy."""

    def take(**params):
        output = tmp_path / "policy"
        output.mkdir()
        import_model(output, tmp_path, 0, path=str(folder), **params)
        return output

    return take


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")


def change_json(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_files_are_linked_and_only_those_of_a_model(folder, take):
    for name in ("optimizer.pt", ".gitattributes", "training_args.bin", "x.Q4_1.gguf"):
        (folder / name).write_text("x")
    taken = {path.name: path for path in take().iterdir()}
    assert {"model.safetensors", "config.json", "chat_template.jinja"} <= taken.keys()
    assert not {"optimizer.pt", ".gitattributes", "training_args.bin", "x.Q4_1.gguf"} & taken.keys()
    assert taken["model.safetensors"].readlink() == folder / "model.safetensors"
    load_model(folder.parent / "policy")


def test_template_is_plain_or_that_of_a_file_and_the_users_folder_is_left_alone(folder, take):
    before = (folder / "chat_template.jinja").read_text()
    assert load_tokenizer(take(chat_template="plain")).chat_template == PLAIN_TEMPLATE
    assert (folder / "chat_template.jinja").read_text() == before
    (folder / "own.jinja").write_text("{{ messages[0]['content'] }}!")
    shutil.rmtree(folder.parent / "policy")
    own = take(chat_template=str(folder / "own.jinja"))
    load_tokenizer.cache_clear()
    assert load_tokenizer(own).chat_template == "{{ messages[0]['content'] }}!"


NOT_A_MODEL = r"mine is not a model folder: it needs config\.json and \*\.safetensors"
BAD_FOLDERS = {
    "no tokenizer": (
        ["tokenizer.json", "tokenizer_config.json"],
        r"mine has no tokenizer that",
    ),
    "no chat template": (
        ["chat_template.jinja"],
        r"mine has no chat template\. Set `pol",
    ),
    "no end of sequence": (
        ["tokenizer_config.json"],
        r"no end-of-sequence token\. Set `eos",
    ),
    "no config": (["config.json"], NOT_A_MODEL),
    "no weights": (["model.safetensors"], NOT_A_MODEL + r"\. Give `policy\.params\.path`"),
}


@pytest.mark.parametrize(("missing", "message"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_folder_that_lacks_something_is_refused_by_the_users_name(folder, take, missing, message):
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(ConfigError, match=message):
        take()


def test_adapters_are_told_as_such_before_a_run(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="has an adapter"):
        list(check_import_model(path=str(tmp_path), chat_template=None))


def test_pickled_weights_are_not_read_and_the_command_that_is_told_converts_them(folder, take):
    pickled(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=NOT_A_MODEL + r"; pickled .* could run code") as caught:
        list(check_import_model(path=str(folder), chat_template=None))
    command = re.search("`(python -c .*)`", str(caught.value).partition(". Give")[0]).group(1)
    exec(shlex.split(command)[2])
    assert "lm_head.weight" in load_file(take() / "model.safetensors")


@pytest.mark.parametrize("content", ["{", "{}", '{"version": "1.0", "model": {"type": "?"}}'])
def test_damaged_tokenizer_is_refused(folder, take, content):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ConfigError, match=r"mine has no tokenizer that can be loaded \("):
        take()


def test_unknown_template_folder_or_hub_id_is_named(take, tmp_path):
    with pytest.raises(ConfigError, match=r"chat_template is 'plian': neither 'plain' nor a file"):
        take(chat_template="plian")
    for name in (str(tmp_path / "none"), "nobody/nothing"):
        with pytest.raises(ConfigError, match=rf"no folder '{name}'.*Check `policy\.params\.path`"):
            import_model(tmp_path, tmp_path, 0, path=name)


def truncated(folder):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def without_head(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


BAD_WEIGHTS = {
    "truncated": (truncated, "Cannot load"),
    "empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "Cannot load"),
    "other sizes": (lambda f: change_json(f / "config.json", hidden_size=64), "Cannot load"),
    "unknown kind": (lambda f: change_json(f / "config.json", model_type="zzz"), "Cannot load"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "Cannot load"),
    "no output layer": (without_head, r"lacks 1 weights .* lm_head\.weight; .*drawn at random"),
}


@pytest.mark.parametrize(("damage", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_weights_that_do_not_make_the_model_are_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(ConfigError, match=message) as caught:
        load_model(folder)
    assert re.search("AutoModelForCausalLM", str(caught.value))
    assert str(folder) in str(caught.value)


def test_tied_weights_are_not_missing(folder):
    without_head(folder)
    change_json(folder / "config.json", tie_word_embeddings=True)
    model = load_model(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight
