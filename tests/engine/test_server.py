"""vLLM's own server, asked by the generator for servers: one, on the engine's tiny model."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress

import polars as pl
import pytest

from prefopt_core.generation import GENERATORS
from prefopt_core.labels.questions import Question, Shown
from prefopt_core.models.loading import release_models
from prefopt_core.models.server.kept import ResponseStore
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids
from prefopt_core.models.vllm.interpreter import PYTHON_VARIABLE
from prefopt_core.models.vllm.link import FOREIGN
from prefopt_core.store.store import Store

pytest.importorskip("openai", reason="the extra `openai` is not installed")

NAME, NEW, PATIENCE_S = "desk", 24, 300
OPTIONS = [
    "--enforce-eager", "--max-num-seqs=64", "--generation-config=vllm", "--host=127.0.0.1",
    "--dtype=float32",  # its "auto" would round the weights
    "--no-enable-chunked-prefill",  # the CPU build takes no seeds with it
    f"--served-model-name={NAME}",
]  # fmt: skip


@pytest.fixture(scope="module")
def url(model, tmp_path_factory):
    """Where the server is asked; it starts once and ends with this module."""
    release_models()  # the engine's memory
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [os.environ[PYTHON_VARIABLE], "-m", "vllm.entrypoints.openai.api_server",
             f"--model={model}", f"--port={port}", *OPTIONS],
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if k not in FOREIGN}
            | {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    try:
        patience = time.monotonic() + PATIENCE_S
        while not answers(f"http://127.0.0.1:{port}/health"):
            ended = server.poll() is not None or time.monotonic() > patience
            assert not ended, log.read_text()[-3000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def answers(url):
    """Whether somebody is there and well."""
    with suppress(OSError):
        return urllib.request.urlopen(url, timeout=5).status == 200
    return False


@pytest.fixture
def buy(url, model, asked, tmp_path, monkeypatch):
    """Have the server write to the eight prompts; what it is paid for goes to a store."""
    from prefopt_core.generation.openai_api import generate

    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "store"))

    def buy(n, seed=0, folder=model, **params):
        params = {"base_url": url, "model_name": NAME, "max_new_tokens": NEW} | params
        return generate(asked, folder, n, seed, **params)

    return buy


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_n_in_one_request_are_bought_once(buy, asked, model, tmp_path, endpoint):
    five = buy(5, endpoint=endpoint)
    assert [len(row) for row in five] == [5] * len(asked)
    assert all(len({response.text for response in row}) > 3 for row in five)
    assert {response.finish_reason for row in five for response in row} == {"stop", "length"}
    (bought,) = ResponseStore(tmp_path / "store").bought()
    assert (bought.model, bought.responses) == (NAME, 5 * len(asked))
    # chats, too, are read as training will: the server's template is the model's own
    tokenizer = load_tokenizer(model)
    assert bought.prompt_tokens == sum(len(prompt_token_ids(tokenizer, p.messages)) for p in asked)
    assert len(asked) * 5 < bought.completion_tokens <= len(asked) * 5 * NEW
    seven = buy(7, endpoint=endpoint)
    assert [row[:5] for row in seven] == five
    assert ResponseStore(tmp_path / "store").bought()[0].responses == 7 * len(asked)
    assert buy(5, seed=1, endpoint=endpoint) != five


def test_chat_and_completions_write_the_same(buy):
    chats, completions = buy(3, endpoint="chat"), buy(3, endpoint="completions")
    assert chats == completions


def test_temperature_zero_writes_what_transformers_does(buy, asked, model):
    def known(written):
        return [(response.text, response.finish_reason) for row in written for response in row]

    likeliest = GENERATORS["transformers"](asked, model, 1, 0, top_k=1, max_new_tokens=NEW)
    assert known(buy(1, temperature=0.0, endpoint="completions")) == known(likeliest)


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_a_round_of_align(url, settings, run, tmp_path, endpoint):
    params = {"base_url": url, "model_name": NAME, "max_new_tokens": NEW, "endpoint": endpoint}
    asked = {"generator": "openai", "n": 4, "params": params}
    one = settings | {"generation": asked, "rounds": settings["rounds"][:1], "budget": 8}
    result, _, _ = run(one, tmp_path / "store")
    store = Store(tmp_path / "store")
    pairs = store.read(result.preferences)
    assert pairs.height == 4
    assert pairs["chosen_finished"].null_count() == 0
    candidates = pl.concat([store.read(m.output) for m in store.manifests("generate")])
    assert candidates.filter(pl.col("policy") == NAME).height == 32
    _, made, _ = run(one, tmp_path / "store")
    assert all(outcome.cached for _, outcome in made)


@pytest.fixture
def undecided(tmp_path):
    """A template that reads one of two words."""

    def undecided(first, second):
        header = f"ask: compare\nread: token\nmarks: {{first: '{first}', second: '{second}'}}"
        body = "{{ prompt }} {{ responses[0].text }} {{ responses[1].text }}"
        path = tmp_path / "mine.jinja"
        path.write_text(f"---\n{header}\n---\n{{% block user %}}{body}{{% endblock %}}")
        return str(path)

    return undecided


def test_a_judge_says_what_the_one_in_this_process_says(
    url, model, asked, undecided, tmp_path, monkeypatch
):
    from prefopt_core.annotation import ANNOTATORS

    def verdicts(annotator, **params):
        complete = ANNOTATORS.complete_params(annotator, params)
        return list(ANNOTATORS.bind(annotator, complete)(questions))

    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "store"))
    shown = (Shown("a", "Press the button."), Shown("b", "Load the tray."))
    questions = [Question(p.prompt_id, p.messages, shown) for p in asked]
    questions += [question.turned() for question in questions]
    greeting = undecided("Hello", "Hi")  # how the help desk begins
    params = {"template": greeting, "max_new_tokens": 1, "attempts": 1}
    here = verdicts("llm-judge-local", model=str(model), device="cpu", **params)
    there = verdicts("llm-judge", base_url=url, model_name=NAME, top_logprobs=20, **params)
    assert {verdict.state for verdict in here} == {"given"}
    for one, other in zip(here, there, strict=True):
        assert one.preference == pytest.approx(other.preference, abs=1e-4)
        assert one.usage.prompt_tokens == other.usage.prompt_tokens
