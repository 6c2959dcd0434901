"""The command `prefopt`: every verb on a small run, and what it leaves behind."""

import json
import re
import time
from pathlib import Path

import pytest

from prefopt_core.store.store import Store


@pytest.fixture
def config(settings, config_file):
    return config_file(settings)


@pytest.mark.slow
def test_a_run_from_plan_to_export(prefopt, config, store, tmp_path):
    code, output, _ = prefopt("plan", config)
    assert code == 0
    assert "first run" in output
    reasons = {line.split()[0]: line for line in output.splitlines() if "waits for" in line}
    assert "waits for load_prompts" in reasons["draw_prompts"]
    assert "waits for select" in reasons["annotate"]  # the missing input, not a remote cause
    assert "waits for annotate" in reasons["pair"]
    assert "buy at most 13 labels" in output
    assert not (store.root / "objects").exists()

    code, output, _ = prefopt("run", config, "--no-server")
    assert code == 0
    assert "○ train" in output
    assert "purpose evaluation → round 1" not in output  # of another part of the run
    assert "win rate" in output
    assert Path(re.search(r"\nreport +(.+)", output)[1]).is_file()
    assert Path(re.search(r"\npolicy +(.+)", output)[1], "model.safetensors").is_file()
    show = re.search(r"\nrun +prefopt (show \S+)", output)[1]
    export = re.search(r"\npairs +prefopt (export FOLDER --run \S+)", output)[1]
    short = re.findall(r"^! (.+ cut off\.)$", output.partition("Win rate:")[2], re.M)

    code, output, _ = prefopt("plan", config)
    assert "waits for" not in output
    assert output.count("all of ") == 6  # the start, two rounds, and what measures each of them
    assert "0 of" in output
    assert "buy at most 0 labels" in output

    again = " ".join(prefopt(*show.split())[1].split())
    assert [text for text in short if f"! {text} Raise" in again] == short != []
    assert prefopt(*export.replace("FOLDER", str(tmp_path / "out")).split())[0] == 0

    code, output, _ = prefopt("plan", config, "selection.strategy=random")
    first = next(line for line in output.splitlines() if line.startswith("  select"))
    assert "select" in first
    assert "strategy aepo → random" in first

    code, output, _ = prefopt("plan", config, "--refresh", "embed")
    assert re.search(r"embed .*refresh asked for", output)

    code, output, _ = prefopt("run", config, "--no-server", "--quiet")
    assert "● train" not in output
    assert "win rate" in output


def test_export_writes_the_pairs_of_the_last_round(prefopt, finished, tmp_path):
    code, output, _ = prefopt("export", tmp_path / "out", "--format", "jsonl")
    assert code == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").open()]
    assert {"prompt", "chosen", "rejected"} <= set(rows[0])
    # not the pairs of round 1, all gold, which were stored again later with other log-probabilities
    assert {row["source"] for row in rows} == {"gold", "self"}
    assert f"{len(rows)} pairs" in output


def test_looking_after_the_store(prefopt, config, finished):
    store = finished
    code, output, _ = prefopt("cache", "ls")
    assert re.search(r"train +│ +2 ", output)
    assert "12 labels of" in output

    code, output, _ = prefopt("cache", "explain", "pair")
    assert '"stage": "pair"' in output
    assert "intact: yes" in output

    code, output, _ = prefopt("cache", "verify")
    assert code == 0
    count = len(list(store.manifests()))
    assert f"{count} of {count} results intact" in output

    for name in ("candidates", "embeddings", "metrics", "model"):
        code, output, _ = prefopt("show", name)
        assert (code, "│" in output) == (0, True)

    code, output, _ = prefopt("cache", "rm", "train")
    assert output.startswith("2 results forgotten")
    code, output, _ = prefopt("cache", "gc", "--dry-run")
    assert "would be freed" in output
    before = len(list((store.root / "objects").glob("*/*")))
    code, output, _ = prefopt("cache", "gc")
    assert "MB freed" in output
    assert len(list((store.root / "objects").glob("*/*"))) == before - 2  # two policies

    code, output, _ = prefopt("plan", config)
    assert len(re.findall(r"^ +annotate ", output, re.MULTILINE)) == 1  # that of round 2
    assert "buy at most 4 labels" in output  # of round 2, whose responses wait for the policy


@pytest.mark.slow
def test_damage_is_found_and_mended(prefopt, config, finished):
    victim = next((finished.root / "objects").glob("*/*.parquet"))
    victim.write_bytes(b"broken")
    code, output, error = prefopt("cache", "verify")
    assert code == 2
    assert "quarantine" in output
    assert "computed again" in error
    assert prefopt("run", config, "--no-server")[0] == 0
    assert prefopt("cache", "verify")[0] == 0


def test_select_writes_the_chosen_rows(prefopt, store, tmp_path, write):
    # more prompts than a shard has
    rows = "".join(f"Question {i},Answer {j} to it\n" for i in range(70) for j in range(5))
    file = write("candidates.csv", "prompt,response\n" + rows)
    chosen = tmp_path / "chosen.jsonl"
    code, output, _ = prefopt("select", file, "--k", 2, "--embedder", "hashing", "--output", chosen)
    assert code == 0
    assert "140 of 350 responses to 70 prompts" in output
    assert len(chosen.read_text().splitlines()) == 140
    page = tmp_path / "chosen.html"
    assert str(page) in output
    assert "What was selected" in page.read_text()


def test_list_names_what_a_config_can_say(prefopt):
    code, output, _ = prefopt("list", "strategies")
    assert code == 0
    assert "aepo" in output
    assert "diversity_weight: default" in output
    everything = prefopt("list")[1]
    assert output in everything
    for section, setting in (
        ("training", "learning_rate"),
        ("prompts", "source"),
        ("evaluation.generation", "n"),
    ):
        output = prefopt("list", section)[1]
        assert re.search(rf"section {section}:\n(  .*\n)*  {setting} +(default|required)", output)
    assert "section training:\n" in everything
    for kind, said in (("flows", "align  "), ("presets", "quickstart  "), ("align", "budget  ")):
        assert re.search(rf"^  {said}", prefopt("list", kind)[1], re.MULTILINE)


def test_list_fits_80_columns_and_names_nothing_that_it_does_not_know(prefopt, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    output = "".join(prefopt("list", *kind)[1] for kind in ((), ("align",), ("spin",)))
    assert max(len(line) for line in output.splitlines() if " " in line.strip()) <= 80
    for kind in {*re.findall(r"see `prefopt list (\S+)`", output)}:
        assert prefopt("list", kind)[0] == 0


def test_what_a_flow_lacks_is_told_from_the_start_of_a_run_to_its_end(prefopt, config_file, store):
    code, _, error = prefopt("plan", config_file({"flow": "align", "seed": 1}))
    lacking = [line.split(": ")[1] for line in error.splitlines()]
    assert (code, lacking) == (2, ["prompts", "policy", "rounds", "annotation", "budget"])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["select", "--k", "1"], "--k: Input should be greater than or equal to 2"),
        (["select", "--k", "9", "--embedder", "hashing"], "Lower `--k` or raise the number"),
        (["pool", "--count", "0"], "--count: Input should be greater than or equal to 1"),
        (["pool", "--count", "2", "--rule", "no"], "--rule: Input should be 'proportional'"),
        (["pool", "--count", "2", "--near-duplicates", "2"], "--near-duplicates: Input should be"),
        (["pool", "--count", "2", "--seed", "-1"], "--seed"),
        (["select", "--seed", "-1"], "--seed"),
        (
            ["select", "--diversity-weight", "-1", "--embedder", "hashing"],
            "Set `--diversity-weight`",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_name_what_was_typed(prefopt, write, store, typed, said):
    file = write("file.csv", "prompt,response\nWhy?,So.\nWhy?,Because.\n")
    code, _, error = prefopt(typed[0], file, *typed[1:])
    assert (code, error.count("\n"), said in error) == (2, 1, True), error


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["selection.strategy=aepp"], "Did you mean 'aepo'?"),
        (["selection.kk=3"], "selection: There is no setting 'kk'. Did you mean 'k'?"),
        (["generation.temprature=1"], "Did you mean 'params.temperature'?"),
        (["learning_rate=1"], "Did you mean 'training.learning_rate'?"),
        (["generation.params.n=3"], "generation: params: 'n' stands beside `params`"),
        (["selection.k=9"], "Cannot select k=9 of N=4"),
        (["budget=3"], "budget is 3"),
        (["flow=alighn"], "Did you mean 'align'?"),
        (["nonsense"], "is not a change"),
        (["prompts.params.path=/nowhere.csv"], "/nowhere.csv"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_bad_config_ends_in_one_line(prefopt, config, store, verb, changes, said):
    if verb == "plan" and "nowhere" in said:
        return  # a plan reads no prompts
    options = ["--no-server"] if verb == "run" else []
    code, output, error = prefopt(verb, config, *changes, *options)
    assert code == 2
    assert said in error
    assert error.startswith("prefopt: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error + output


def test_an_unknown_run_or_artifact_ends_in_one_line(prefopt, store):
    for arguments in (["run", "no-such-run"], ["show", "nothing"], ["list", "nothing"]):
        code, _, error = prefopt(*arguments)
        assert (code, error.count("\n")) == (2, 1)


# --- with a server ----------------------------------------------------------------------------

# As `prefopt`, but deaf to a server that happens to run on the usual port of this machine.
_ALONE = """
import sys
import flows.server
flows.server.USUAL_URL = "http://127.0.0.1:9/api"
from flows.cli import main
sys.exit(main())
"""


def _of_the_server(store: Store):
    """Processes that have the server's home in their environment."""
    home = f"PREFECT_HOME={store.root / 'prefect'}".encode()
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if _has(path, home)]


def _has(path: Path, variable: bytes) -> bool:
    try:
        return variable in path.read_bytes().split(b"\0")
    except OSError:  # gone, or somebody else's
        return False


@pytest.fixture
def small(given_candidates, config_file):
    return config_file(given_candidates)


@pytest.mark.slow
def test_a_run_brings_its_own_server_and_takes_it_away(small, store, command, tools, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    run = command("run", small, program=("-c", _ALONE))
    lines = iter(run.stdout.readline, "")
    url = next(lines)
    assert re.match(r"Prefect: http://127.0.0.1:\d+\n", url)
    assert _of_the_server(store)
    printed = "".join(lines)
    assert run.wait() == 0, printed
    assert "gold pairs" in printed
    assert "Traceback" not in printed
    tools.until(lambda: not _of_the_server(store), seconds=5)


@pytest.mark.slow
def test_not_even_a_killed_run_leaves_its_server_behind(small, store, command, tools, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    run = command("run", small, program=("-c", _ALONE))
    assert any("Prefect: " in line for line in iter(run.stdout.readline, ""))
    assert _of_the_server(store)
    run.kill()  # alone: its group, and the server's, get no signal
    run.wait()
    tools.until(lambda: not _of_the_server(store), seconds=30)


@pytest.mark.slow
def test_a_server_that_is_there_is_used(small, store, command, server):
    run = command("run", small, PREFECT_API_URL=server)
    printed, _ = run.communicate(timeout=120)
    assert run.returncode == 0, printed
    assert printed.startswith(f"Prefect: {server.removesuffix('/api')}\n")
    assert not (store.root / "prefect").exists()


@pytest.mark.slow
def test_the_ui_answers_until_it_is_interrupted(store, command, tools):
    import urllib.request

    port = tools.free_port()
    ui = command("ui", "--port", port)
    assert f"http://127.0.0.1:{port}" in ui.stdout.readline()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
        assert b"<html" in page.read()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ui-settings") as answer:
        assert json.load(answer)["api_url"].rstrip("/").endswith(f":{port}/api")
    started = time.monotonic()
    ui.send_signal(2)
    assert ui.wait(timeout=30) == 130
    assert time.monotonic() - started < 20
    tools.until(lambda: not _of_the_server(store), seconds=5)
