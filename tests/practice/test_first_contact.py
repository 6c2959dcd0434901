"""First contact.

What `prefopt plan` and the first second of a run find out; servers, proxies and stores that are not
what they should be.
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import flows.server
from flows.cli import main

POOL = "prompt,response\n" + "".join(
    f"Question {i}?,Answer {j} to {i}.\n" for i in range(3) for j in "ab"
)


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def prefopt(capsys):
    """What a command line prints; of an error the message alone."""

    def prefopt(*words):
        code = main([str(word) for word in words])
        output, error = capsys.readouterr()
        assert "Traceback" not in error + output
        return error.replace("prefopt: ", "refused: ", 1).strip() if code else output

    return prefopt


@pytest.fixture
def config(write):
    """A run without a model on a pool of responses, with other settings put over it."""

    def config(judge="def score(prompt, response): return len(response)\n", **sections):
        write("judge.py", judge)
        pool = str(write("pool.csv", POOL))
        settings = {
            "flow": "aepo",
            "generation": {"generator": "file", "params": {"path": pool}},
            "embedding": {"embedder": "hashing"},
            "annotation": {"annotator": "function", "params": {"function": "judge.py:score"}},
            "budget": 6,
        }
        return write("run.yaml", yaml.safe_dump(settings | sections))

    return config


def judged(function):
    return {"annotator": "function", "params": {"function": function}}


@pytest.mark.case(
    "`plan` with a misspelt file of the judge's",
    reports="tried here",
    before="planned; refused by the run after sampling",
    expected="refused: annotation: There is no file jugde.py to load a function from.",
)
def test_a_judge_that_is_not_there(prefopt, config):
    return prefopt("plan", config(annotation=judged("jugde.py:score")))


@pytest.mark.case(
    "`plan` with a misspelt function of a world",
    reports="tried here",
    before="planned; refused by the run after sampling",
    expected="refused: annotation: There is no function 'helpdesc'. Did you mean 'helpdesk'?…",
)
def test_a_misspelt_name(prefopt, config):
    return prefopt("plan", config(annotation=judged("helpdesc")))


@pytest.mark.case(
    "`plan` with a judge that takes the response alone",
    reports="tried here",
    before="planned; a TypeError with its traceback after sampling",
    expected="refused: annotation: judge.py:score takes (response); it is called with (prompt, re…",
)
def test_a_judge_of_one_argument(prefopt, config):
    return prefopt("plan", config(judge="def score(response): return 1\n"))


@pytest.mark.case(
    "`plan` with a judge that needs a package that is not installed",
    reports="tried here",
    before="planned; refused by the run after sampling",
    expected="refused: annotation: Cannot load the function 'judge.py:score': ModuleNotFoundError…",
)
def test_a_judge_that_cannot_be_loaded(prefopt, config):
    return prefopt("plan", config(judge="import absent_thing\n"))


@pytest.mark.case(
    "`plan` with several files that are not there",
    reports="tried here",
    before="planned; refused one after the other",
    expected="refused: prompts: There is no file prompts.csv.…"
    "prefopt: annotation: There is no file scores.jsonl.…"
    "prefopt: policy: There is no folder './model'. Check `policy.params.path`:…",
)
def test_several_files(prefopt, config):
    return prefopt(
        "plan",
        config(
            policy={"params": {"path": "./model"}},
            prompts={"params": {"path": "prompts.csv"}},
            annotation={"annotator": "replay", "params": {"path": "scores.jsonl"}},
        ),
    )


@pytest.mark.case(
    "`plan` with a model folder without a tokenizer",
    reports="tried here",
    before="planned; refused when the model was loaded",
    expected="refused: policy: model has no tokenizer (tokenizer.json, tokenizer.model,…",
)
def test_a_model_without_tokenizer(prefopt, config, tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "model" / name).write_text("{}")
    return prefopt("plan", config(policy={"params": {"path": "model"}}))


@pytest.mark.case(
    "`plan` with fewer prompts than its rounds want",
    reports="tried here",
    before="planned; refused when the last round began",
    expected="refused: prompts: There are 3 prompts; the run wants 10, 4 of them for evaluation.…",
)
def test_too_few_prompts(prefopt, config, tmp_path):
    judge = judged("judge.py:score")
    settings = {"flow": "align", "policy": {"source": "helpdesk"}, "generation": {"n": 2}}
    rounds = [{"prompts": 2, "labels": 4}, {"prompts": 4}]
    prompts = {"params": {"path": str(tmp_path / "pool.csv")}}
    return prefopt(
        "plan",
        config(**settings, rounds=rounds, prompts=prompts, evaluation=judge | {"prompts": 4}),
    )


@pytest.mark.case(
    "`plan` where all is there",
    reports="–",
    before="right",
    expected="…stages would run and buy at most 6 labels.…",
)
def test_all_is_there(prefopt, config):
    output = prefopt("plan", config())
    return output[output.index("9 of 9") :].strip()  # what stands below the table


@pytest.mark.slow
@pytest.mark.case(
    "A doubt about recorded scores, in what a run prints and on its page",
    reports="tried here",
    before="none",
    expected="printed: ! annotation: pool.csv: the column is called 'rank': if the best response…"
    "; on the page: yes",
)
def test_doubts_are_printed_and_on_the_page(prefopt, config, write):
    rows = POOL.replace("response", "response,rank", 1).replace(".\n", ".,1\n")
    pool = str(write("pool.csv", rows.replace("b to 0.,1", "b to 0.,2")))
    generation = {"generator": "file", "params": {"path": pool}}
    replay = {"annotator": "replay", "params": {"path": pool, "score": "rank"}}
    path = write("run.yaml", yaml.safe_dump(yaml.safe_load(config().read_text()) | {
        "generation": generation, "annotation": replay}))  # fmt: skip
    write("pool.csv", rows.replace("b to 0.,1", "b to 0.,2"))
    printed = prefopt("run", path, "--no-server")
    page = Path(re.search(r"report +(.+)", printed)[1]).read_text()
    doubt = printed.splitlines()[0]
    return f"printed: {doubt}; on the page: {'yes' if 'wrong way round' in page else 'no'}"


@pytest.mark.case(
    "A misspelt stage behind `--refresh`",
    reports="tried here",
    before="a Prefect server was started first",
    expected="refused: There is no stage 'trian'. Did you mean 'train'?",
)
def test_a_misspelt_stage(prefopt, config, monkeypatch):
    monkeypatch.setattr(flows.server, "own_server", None)
    # The names that follow are those of this process, and other tests have stages of their own.
    return prefopt("run", config(), "--refresh", "trian").partition(" Available: ")[0]


@pytest.mark.case(
    "`select --k 9` of a file with two responses a prompt",
    reports="tried here",
    before="advised `selection.k` and `generation.n`, which nobody typed",
    expected="refused: …Lower `--k` or raise the number of responses in the file.…",
)
def test_select_speaks_of_its_flags(prefopt, config):
    config()
    return prefopt("select", "pool.csv", "--k", 9, "--embedder", "hashing")


# --- stores ------------------------------------------------------------------------------------


@pytest.mark.case(
    "`PREFOPT_STORE` names a file",
    reports="tried here",
    before="planned; “a file is where a folder should be” when it ran",
    expected="refused: pool.csv is a file, and the store is a folder. Point PREFOPT_STORE at one;…",
)
def test_a_store_that_is_a_file(prefopt, config, monkeypatch, tmp_path):
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "pool.csv"))
    return prefopt("plan", config())


@pytest.mark.case(
    "`PREFOPT_STORE` where no folder can be made",
    reports="tried here",
    before="a FileNotFoundError of store/locks.py with its traceback",
    expected="refused: Cannot write to /proc/prefopt/locks (…): no folder can be made there. Look…",
)
def test_a_store_that_cannot_be(prefopt, config, monkeypatch):
    monkeypatch.setenv("PREFOPT_STORE", "/proc/prefopt")
    return prefopt("run", config(), "--no-server")


# --- servers -----------------------------------------------------------------------------------


@pytest.fixture
def somebody():
    """The URL of a web server that answers everything with a page, and counts how often."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.case(
    "`PREFECT_API_URL` names a server that is gone",
    reports="PrefectHQ/prefect#6033",
    before="a ConnectError with its traceback, after retries",
    expected="refused: PREFECT_API_URL is http://127.0.0.1:9/api, and no Prefect server answers t…",
)
def test_a_prefect_server_that_is_gone(prefopt, config, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    return prefopt("run", config())


@pytest.mark.case(
    "Another web server on port 4200",
    reports="PrefectHQ/prefect#6033",
    before="taken for Prefect",
    expected="no Prefect server; refused: Port 4200 is taken by a program that is no Prefect…",
)
def test_another_program_on_the_port(prefopt, somebody, monkeypatch):
    monkeypatch.setattr(flows.server, "USUAL_URL", f"http://127.0.0.1:{somebody.server_port}/api")
    found = "a" if flows.server.usual_server() else "no"
    said = prefopt("ui", "--port", somebody.server_port)
    return f"{found} Prefect server; {said}".replace(str(somebody.server_port), "4200")


@pytest.mark.case(
    "`HTTP_PROXY` is set, and a server runs on this machine",
    reports="run-llama/llama_index#13640",
    before="the proxy was asked for 127.0.0.1",
    expected="the proxy was asked 0 times, the server once",
)
def test_a_proxy_is_not_asked_for_this_machine(somebody, loopback, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(
            name, "" if "no" in name.lower() else f"http://127.0.0.1:{somebody.server_port}"
        )
    from prefopt_core.generation.openai_api import generate
    from prefopt_core.ground.ids import Prompt

    prompts = [Prompt("p", [{"role": "user", "content": "Hi"}])]
    generate(prompts, None, 1, 0, base_url=loopback.url, model_name="m", max_new_tokens=4)
    asked = (len(somebody.asked), "once" * len(loopback.asked))
    return "the proxy was asked {} times, the server {}".format(*asked)
