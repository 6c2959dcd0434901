"""`prefopt doctor --model`: models of many kinds do what a run asks of them, or it is said why not.

Each is sampled, scored, trained for a step, saved and loaded by the code that runs use.
"""

from dataclasses import replace

import pytest
import torch

from flows.doctor import model as doctor
from flows.doctor.model import Patient, examine_model
from tests.families import FAMILIES


@pytest.fixture
def made(tmp_path):
    """Make a model with a family's tokenizer, which has no padding token; returns its folder."""

    def made(family="ChatML", kind="Llama", shard="1GB", ends=(), **settings):
        import transformers

        tokenizer = FAMILIES[family].tokenizer()
        tokenizer.pad_token = None
        torch.manual_seed(0)
        usual = {
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
            "max_position_embeddings": 256, "initializer_range": 0.3, "pad_token_id": None,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        }  # fmt: skip
        config = getattr(transformers, f"{kind}Config")(**usual | settings)
        model = getattr(transformers, f"{kind}ForCausalLM")(config)
        if ends:
            model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids([*ends])
        folder = tmp_path / "theirs"
        model.save_pretrained(folder, max_shard_size=shard)
        tokenizer.save_pretrained(folder)
        return folder

    return made


WHOLE = {
    "tied, in several files": (
        {"tie_word_embeddings": True, "shard": "20KB"},
        {"files": "input and output share their embeddings"},
    ),
    "sliding window": (
        {"kind": "Mistral", "sliding_window": 8},
        {"length": "256 tokens of prompt and response; layers with a window see the last 8"},
    ),
    "several end tokens": (
        {"family": "Llama 3", "ends": ("<|end_of_text|>", "<|eot_id|>")},
        {"end tokens": "'<|eot_id|>', '<|end_of_text|>'", "BOS": "one, '<|begin_of_text|>'"},
    ),
    "reasoning that prompts open": (
        {"family": "Prompts open reasoning, finished turns close it"},
        {
            "reasoning": "in <think> … </think> is trained, and not shown",
            "generation": "cut off within the model's reasoning",
        },
    ),
    "neither BOS nor padding": ({}, {"BOS": "none: a prompt begins", "padding": "<|im_end|>"}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "found"), WHOLE.values(), ids=WHOLE)
def test_models_of_many_kinds_are_sampled_scored_trained_saved_and_loaded(made, options, found):
    checks = [*examine_model(str(made(**options)))]
    assert [check for check in checks if check.state == "problem"] == []
    told = {check.what: check for check in checks}
    for what, text in found.items():
        assert text in told[what].found
    for what in ("log-probabilities", "training", "adapter"):
        assert told[what].state == "ok"


@pytest.fixture
def patient(made, tmp_path):
    """A model whose files were looked at, by settings of `made` and a template."""

    def patient(template=None, **options):
        folder, work = made(**options), tmp_path / "work"
        work.mkdir()
        if template:
            (tmp_path / "own.jinja").write_text(template)
        patient = Patient(str(folder), template and str(tmp_path / "own.jinja"), work)
        list(doctor.files(patient))
        return patient

    return patient


def test_a_second_bos_is_a_problem(patient):
    twice = "{{ bos_token }}" + FAMILIES["Llama 2"].template
    (check,) = doctor.bos(patient(twice, family="Llama 2"))
    assert (check.state, check.found) == ("problem", "a prompt begins with '<s>' twice")
    assert check.mend.startswith("Take it out of the chat template")


def test_a_template_without_system_role_is_told_with_the_prompts_it_refuses(patient):
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('No system') }}{% endif %}"
    seen = patient(refusing + FAMILIES["ChatML"].template)
    told = {check.what: check for check in doctor.template(seen)}
    assert told["system role"].state == "warning"
    assert f"chat template of {seen.path} does not take the roles system" in (
        told["system role"].found
    )
    assert told["template"].found.endswith(r"'<|im_end|>\n<|im_start|>assistant\n'")


def test_a_tokenizer_that_loses_white_space_is_told(patient, monkeypatch):
    seen = patient()
    plain = seen.tokenizer.backend_tokenizer
    assert [check.state for check in doctor.tokens(seen)] == ["ok"]
    from tokenizers import normalizers

    plain.normalizer = normalizers.Replace("\n", " ")
    (told, _) = doctor.tokens(seen)
    assert told.state == "warning"
    assert r"'def f(x):\n    return x\t# two  spaces' comes back as 'def f(x): " in told.found


def test_log_probabilities_that_are_not_those_of_sampling_are_a_problem(patient):
    seen = patient()
    list(doctor.generation(seen))
    (check,) = doctor.logps(seen)
    assert check.state == "ok"
    seen.responses = [replace(r, logps=r.logps + 1) for r in seen.responses]
    (check,) = doctor.logps(seen)
    assert (check.state, "differ by 1 nats" in check.found) == ("problem", True)


def test_what_is_no_model_fails_in_one_line_with_the_users_words(prefopt, made):
    folder = made()
    (folder / "chat_template.jinja").unlink()
    code, output, error = prefopt("doctor", "--model", folder)
    assert (code, error) == (2, f"prefopt: A run with {folder} would fail: mend files.\n")
    said = " ".join(output.replace("│", " ").split())
    assert "has no chat template. Set `--chat-template` to 'plain'" in said
    assert "generation" not in said
    code, _, error = prefopt("doctor", "--chat-template", "plain")
    assert (code, error) == (
        2, "prefopt: --chat-template belongs to a model. Name it by --model.\n"
    )  # fmt: skip
