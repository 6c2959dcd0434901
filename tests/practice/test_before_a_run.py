"""Before a run.

What the files, the model and the machine that a config names make doubtful or impossible.
"""

from pathlib import Path

import pytest

from prefopt_core.experiments.checks import check
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.ground.errors import ConfigError
from prefopt_core.labels.store import LabelStore
from prefopt_core.models.tokenised import tokenised
from prefopt_core.models.tokens import load_tokenizer
from tests.families import FAMILIES

POOL = {"path": "pool.jsonl"}
ROWS = [{"prompt": "Hi", "responses": ["Good.", "Bad."]}]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def doubts(write, tmp_path):
    """What is doubtful about a run on a small pool, or why it cannot be."""

    def doubts(rows=ROWS, **sections):
        write("pool.jsonl", rows)
        sections = {
            "generation": {"generator": "file", "params": POOL},
            "annotation": {"annotator": "simulated", "params": {"function": "helpdesk"}},
            "budget": 6,
        } | sections
        experiment = CONFIGS["aepo"].model_validate(sections)
        found = check(experiment, LabelStore(tmp_path / "labels"))
        return " ".join(found).replace(f"{tmp_path}/", "") or "nothing"

    return doubts


@pytest.fixture
def doubts_of(write, tmp_path):
    """What is doubtful about a run with a labelled seed of such rows."""

    def doubts_of(*rows):
        sides = ("prompt", "chosen", "rejected")
        path = write("seed.jsonl", [dict(zip(sides, row, strict=True)) for row in rows])
        sections = {
            "policy": {"source": "helpdesk"},
            "prompts": {"source": "helpdesk", "params": {"count": 9}},
            "rounds": [{"prompts": 1}],
            "seed_preferences": {"path": str(path)},
        }
        experiment = CONFIGS["spa"].model_validate(sections)
        found = check(experiment, LabelStore(tmp_path / "labels"))
        return " ".join(found).replace("seed_preferences: ", "") or "nothing"

    return doubts_of


@pytest.mark.case(
    "Labelled pairs that contradict each other",
    reports="tried here",
    before="trained in silence",
    expected="2 of 3 pairs contradict another one: … (rows 1, 2). Keep …",
)
def test_contradictory_pairs(doubts_of):
    return doubts_of(("Hi", "a", "b"), ("Hi", "b", "a"), ("Hi", "a", "c"))


@pytest.mark.case(
    "Labelled pairs whose responses repeat the prompt",
    reports="tried here",
    before="the prompt was trained as part of the responses, in silence",
    expected="2 of 2 pairs have a response that begins with the prompt's text, …",
)
def test_pairs_that_repeat_the_prompt(doubts_of):
    return doubts_of(("Hi. ", "Hi. Ho.", "Hi. No."), ("Why? ", "Why? So.", "Why? No."))


@pytest.mark.case(
    "One labelled pair that repeats its prompt, amid others",
    reports="tried here",
    before="right",
    expected="nothing",
)
def test_one_pair_may_repeat_its_prompt(doubts_of):
    return doubts_of(("Say Hi", "Say Hi!", "Say Hi, you."), ("Why? ", "So.", "No."))


@pytest.mark.case(
    "A labelled pair that differs in white space only, and one that has the prompt as a response",
    reports="tried here",
    before="trained in silence",
    expected="1 of 2 pairs differ in case, white space or punctuation only … 1 of 2 pairs have the "
    "prompt's own text …",
)
def test_pairs_alike(doubts_of):
    return doubts_of(("Hi", "a b", "a b "), ("Why?", "Why?", "So."))


@pytest.mark.case(
    "Responses that are missing values, written as text by pandas",
    reports="tried here",
    before="“nan” was judged and could be chosen, in silence",
    expected="generation: 2 of 3 responses of pool.jsonl are None, nan, as missing values are …",
)
def test_missing_values_as_responses(doubts):
    return doubts([{"prompt": "Hi", "responses": ["Good.", "nan", "None"]}])


@pytest.mark.case(
    "`max_new_tokens` beyond the positions of the policy",
    reports="tried here",
    before="planned; refused after the first round's labels were bought",
    expected="refused: generation: params.max_new_tokens is 256, and the model in … has 256 …",
)
def test_too_many_new_tokens(doubts, tiny_model, write):
    prompts = {"params": {"path": str(write("p.jsonl", [{"prompt": "Hi"}]))}}
    sampled = {"generator": "transformers", "params": {"max_new_tokens": 256}}
    policy = {"source": "pretrained", "params": {"path": str(tiny_model)}}
    try:
        return doubts(prompts=prompts, generation=sampled, policy=policy)
    except ConfigError as error:
        return f"refused: {error}".replace(str(tiny_model), "the folder")


@pytest.mark.case(
    "LoRA's target modules, named as another model's layers",
    reports="tried here",
    before="planned; refused when training began, its labels bought",
    expected="… training: no weight of the folder is called 'c_attn', which …",
)
def test_layers_of_another_model(doubts, tiny_model):
    policy = {"source": "pretrained", "params": {"path": str(tiny_model)}}
    lora = {"r": 2, "target_modules": ["q_proj", "c_attn"]}
    training = {"lora": lora, "batch_size": 4}
    return "… " + doubts(policy=policy, training=training).replace(str(tiny_model), "the folder")


@pytest.mark.case(
    "A batch that micro-batches do not divide",
    reports="tried here",
    before="planned; refused when training began, its labels bought",
    expected="refused: …batch_size=6 cannot be split over 1 process with micro_batch_size=4. …",
)
def test_uneven_batches(doubts, tiny_model):
    policy = {"source": "pretrained", "params": {"path": str(tiny_model)}}
    try:
        return doubts(policy=policy, training={"batch_size": 6})
    except ValueError as error:
        return f"refused: {error}"


@pytest.mark.case(
    "A server's key whose variable is not set",
    reports="tried here",
    before="planned; refused when the first prompt was to be answered",
    expected="generation: the variable NO_SUCH_KEY is not set: nothing can be bought from …",
)
def test_no_key(doubts, write):
    prompts = {"params": {"path": str(write("p.jsonl", [{"prompt": "Hi"}]))}}
    server = {"base_url": "http://127.0.0.1:9/v1", "model_name": "m", "api_key_env": "NO_SUCH_KEY"}
    return doubts(prompts=prompts, generation={"generator": "openai", "params": server})


@pytest.mark.case(
    "vLLM's interpreter, misspelt",
    reports="tried here",
    before="planned; refused when the first prompt was to be answered",
    expected="generation: There is no interpreter 'pyton' to run vLLM with. …",
)
def test_no_interpreter(doubts, write, tiny_model):
    prompts = {"params": {"path": str(write("p.jsonl", [{"prompt": "Hi"}]))}}
    engine = {"generator": "vllm", "params": {"python": "pyton", "max_new_tokens": 8}}
    policy = {"source": "pretrained", "params": {"path": str(tiny_model)}}
    return doubts(prompts=prompts, generation=engine, policy=policy)


@pytest.mark.case(
    "A chat template that leaves system messages out",
    reports="tried here",
    before="prompts that differ in the system message alone were the same to the model",
    expected="refused: The chat template of model leaves out the system's message 'Be brief.'. …",
)
def test_system_messages_that_a_template_drops(tmp_path):
    tokenizer = FAMILIES["ChatML"].tokenizer()
    loop = "{% for m in messages %}"
    assert loop in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(
        loop, "{% for m in messages if m.role != 'system' %}"
    )
    tokenizer.save_pretrained(tmp_path / "model")
    load_tokenizer.cache_clear()
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    return str(tokenised(tmp_path / "model", prompt, "Ho."))


@pytest.mark.case(
    "A model folder, misspelt as what could be a hub id",
    reports="tried here",
    before="planned; refused when the policy was loaded",
    expected="policy: there is no folder 'lama', so `policy.params.path` is taken for a hub id, …",
)
def test_a_misspelt_folder(doubts):
    return doubts(policy={"source": "pretrained", "params": {"path": "lama"}})


GIVEN = [{"prompt": f"Hi {i}", "responses": ["Good.", "Bad."]} for i in range(3)]


def replayed(*texts, **params):
    rows = [
        {"prompt": row["prompt"], "response": text, "score": float(number)}
        for number, row in enumerate(GIVEN)
        for text in texts
    ]
    return rows, {"annotator": "replay", "params": {"path": "scores.jsonl"} | params}


@pytest.mark.case(
    "Recorded scores that some candidates lack",
    reports="tried here",
    before="planned; ended at the first without a score",
    expected="annotation: 3 of 6 candidates have no 'score' in scores.jsonl. The run ends at …",
)
def test_scores_that_lack(doubts, write):
    rows, replay = replayed("Good.")
    write("scores.jsonl", rows)
    return doubts(GIVEN, annotation=replay)


@pytest.mark.case(
    "Recorded scores of other texts than the candidates",
    reports="tried here",
    before="planned; ended at the first without a score",
    expected="refused: annotation: 6 of 6 candidates have no 'score' in scores.jsonl. Are …",
)
def test_scores_of_other_texts(doubts, write):
    rows, replay = replayed("Good")
    write("scores.jsonl", rows)
    return doubts(GIVEN, annotation=replay)


@pytest.mark.case(
    "Recorded scores for a policy that writes new responses",
    reports="tried here",
    before="planned; ended at the first label",
    expected="… writes new ones. The run ends at the first without a score. Add them, or set …",
)
def test_scores_for_new_responses(doubts, write):
    rows, replay = replayed("Good.", "Bad.")
    write("scores.jsonl", rows)
    prompts = {"params": {"path": str(write("p.jsonl", [{"prompt": "Hi"}]))}}
    return doubts(
        annotation=replay,
        policy={"source": "helpdesk"},
        prompts=prompts,
        generation={"n": 2, "params": {"max_new_tokens": 8}},
    )


@pytest.mark.case(
    "Prompts of a file to which the file of candidates has no two responses",
    reports="tried here",
    before="planned; refused when candidates were read, prompts embedded",
    expected="refused: generation: pool.jsonl has fewer than the 2 responses of a pair to 1 of 2 …",
)
def test_prompts_without_candidates(doubts, write):
    path = write("p.jsonl", [{"prompt": "Hi"}, {"prompt": "Ho"}])
    return doubts(prompts={"params": {"path": str(path)}})


@pytest.mark.case(
    "A test whose responses may be longer than those of the rounds",
    reports="tried here",
    before="planned; nothing warned",
    expected="evaluation: generation.params.max_new_tokens is 256, and 24 in `generation`: …",
)
def test_another_length_in_the_test():
    return _of_align(evaluation={"generation": {"params": {"max_new_tokens": 256}}})


@pytest.mark.case(
    "Responses that may be longer than pairs are trained",
    reports="tried here",
    before="planned; refused after the first round's labels were bought",
    expected="training.max_length is 24, of prompt and response together, and responses may …",
)
def test_responses_longer_than_training_takes():
    return _of_align(training={"max_length": 24})


@pytest.mark.case(
    "A test that says nothing of how it generates",
    reports="tried here",
    before="256 tokens, where the rounds had 24",
    expected="nothing",
)
def test_the_test_generates_as_the_rounds_do():
    return _of_align()


@pytest.mark.case(
    "More labels than a round's prompts take",
    reports="tried here",
    before="planned; fewer were bought, in silence",
    expected="rounds.0: labels is 20, and its 4 prompts take 8 at most, 2 each (`selection.k`).",
)
def test_more_labels_than_prompts():
    return _of_align(rounds=[{"prompts": 4, "labels": 20}])


@pytest.mark.case(
    "The same labels for `west_of_n`, which takes all of 8 responses",
    reports="tried here",
    before="doubted: counted as 2 each",
    expected="nothing",
)
def test_labels_of_all_responses():
    return _of_align(
        rounds=[{"prompts": 4, "labels": 20}],
        selection={"strategy": "west_of_n"},
        generation={"n": 8},
    )


@pytest.mark.case(
    "A world's prompts, fewer than later rounds want",
    reports="tried here",
    before="planned; refused when the last round began",
    expected="refused: prompts: There are 40 prompts; the run wants 64, 10 of them for …",
)
def test_too_few_prompts_of_a_world():
    return _of_align(rounds=[{"prompts": 4, "labels": 8}, {"prompts": 50}])


def _of_align(**sections):
    evaluation = {"annotator": "function", "params": {"function": "helpdesk"}, "prompts": 10}
    settings = {
        "policy": {"source": "helpdesk"},
        "prompts": {"source": "helpdesk", "params": {"count": 40}},
        "generation": {"n": 4, "params": {"max_new_tokens": 24}},
        "annotation": {"annotator": "function", "params": {"function": "helpdesk"}},
        "budget": 20,
        "rounds": [{"prompts": 4, "labels": 8}],
    }
    own = sections.pop("evaluation", {})
    experiment = CONFIGS["align"].model_validate(
        settings | sections | {"evaluation": evaluation | own}
    )
    return " ".join(check(experiment, LabelStore(Path("labels")))) or "nothing"


@pytest.mark.case(
    "A judge's server that does not answer",
    reports="tried here",
    before="planned; refused when the first label was asked for, after sampling",
    expected="annotation: http://127.0.0.1:9/v1 does not answer ([Errno 111] Connection …",
)
def test_no_server(doubts):
    pytest.importorskip("openai")
    server = {"base_url": "http://127.0.0.1:9/v1", "model_name": "m"}
    return doubts(annotation={"annotator": "llm-judge", "params": server})


@pytest.mark.case(
    "An encoder's folder that is not there",
    reports="tried here",
    before="planned; refused when candidates were embedded, after sampling",
    expected="refused: embedding: There is no folder './minilm'. Check `params.model`: …",
)
def test_no_encoder(doubts):
    return doubts(
        embedding={"embedder": "sentence-transformers", "params": {"model": "./minilm"}}
    ).replace(str(Path.cwd()), "here")


@pytest.mark.case(
    "A judge that is probed before a run, and gives a word",
    reports="tried here",
    before="planned; refused at the first label, after sampling",
    expected="refused: annotation: judge.py:score gave 'good', which is a text: return a number. …",
)
def test_a_probe_gives_a_word(doubts, write):
    return _probed(doubts, write, "return 'good'")


@pytest.mark.case(
    "A judge that is probed before a run, and raises",
    reports="tried here",
    before="planned; ended at the first label, after sampling",
    expected="refused: annotation: judge.py:score raised ZeroDivisionError: division by zero …",
)
def test_a_probe_raises(doubts, write):
    return _probed(doubts, write, "return 1 / 0")


@pytest.mark.case(
    "A judge that raises, and is not to be probed, as calling it may cost",
    reports="–",
    before="right",
    expected="nothing",
)
def test_functions_are_not_called_unasked(doubts, write):
    return _probed(doubts, write, "return 1 / 0", probe=False)


def _probed(doubts, write, body, probe=True):
    write("judge.py", f"def score(prompt, response):\n    {body}\n")
    params = {"function": "judge.py:score", "probe": probe}
    return doubts(annotation={"annotator": "function", "params": params})
