"""The verb `annotate`: what it serves, what it says, what it writes."""

import json
import signal
import urllib.error
import urllib.request

import pytest

from flows.cli import AWAITING
from prefopt_core.labels.batch import name_account, open_batches
from prefopt_core.labels.store import LabelStore
from tests.people import leave, question_on

_ROWS = [
    {"prompt": f"How do I mend {i}?", "response": text.format(i)}
    for i in range(3)
    for text in ("Turn {} off.", "Read about {}.")
]


@pytest.fixture
def candidates(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _ROWS))
    return path


@pytest.fixture
def start(command, tools, store):
    """Start `prefopt annotate`; returns the process, and a function that sends JSON as Ada."""

    def start(*arguments, **options):
        process = command("annotate", *arguments, "--port", tools.free_port(), **options)
        said = ""
        while "http://" not in said:
            said = process.stdout.readline()
            assert said, process.wait()
        address = said.split()[-1]
        home = address.partition("/?")[0]

        def send(path, body):
            headers = {"content-type": "application/json", "origin": home}
            headers["cookie"] = "prefopt_annotator=Ada"
            request = urllib.request.Request(home + path, json.dumps(body).encode(), headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)

        return process, address, send

    return start


def say(send, card, ranks=(1, 2)):
    asked = {name: card[name] for name in ("prompt_id", "responses")}
    return send("/verdict", asked | {"state": "given", "ranks": ranks, "seconds": 1})


def test_help_of_the_command_imports_no_web_framework(command):
    program = (
        "-c",
        "import sys; from flows.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print({'fastapi', 'uvicorn', 'nh3', 'polars'} & {*sys.modules})",
    )
    output = command(program=program).communicate(timeout=60)[0]
    assert "annotate" in output
    assert output.endswith("set()\n")


def test_without_open_questions_it_says_where_some_come_from(prefopt, store):
    status, _, errors = prefopt("annotate")
    assert status == 2
    assert "No questions are open" in errors
    assert "`annotation: {annotator: people}`" in errors


def test_of_several_batches_one_is_to_be_named(prefopt, store):
    kept = LabelStore.of(store)
    one = leave(kept, [question_on(1)], account="run 1a")
    two = leave(kept, [question_on(2), question_on(3)], account="run 2b", name="panel")
    name_account(kept, "run 1a", "ask-us.yaml")
    for word, count in ((None, None), ("guidelines 1", 2), ("nobody", "none"), ("3", "none")):
        status, _, errors = prefopt("annotate", *([word] if word else []))
        assert status == 2
        assert f"1  {one.id}  ask-us.yaml, guidelines 1: 1 of 1 label to give, asked 20" in errors
        assert f"2  {two.id}  run 2b, of panel, guidelines 1: 2 of 2 labels to give" in errors
        assert word is None or f"names {count} of them" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scale", "11"], "--scale is 11: it takes 2 to 10."),
        (["--guidelines", "nothing.md"], "--guidelines nothing.md cannot be read"),
        (["--output", "pairs.csv"], "--output is for a file of candidates."),
        (["nothing.csv"], "There is no file nothing.csv"),
    ],
)
def test_mistakes_are_told_in_a_line(prefopt, store, arguments, said):
    leave(LabelStore.of(store), [question_on(1)])
    status, _, errors = prefopt("annotate", *arguments)
    assert status == 2
    assert said in errors


@pytest.mark.slow
def test_a_port_that_is_taken_is_told(start, prefopt, store):
    leave(LabelStore.of(store), [question_on(1)])
    _, address, _ = start()
    status, _, errors = prefopt("annotate", "--port", address.rpartition(":")[2])
    assert status == 2
    assert "Use another `--port`" in errors


@pytest.mark.slow
def test_ctrl_c_says_what_is_kept(start, store):
    leave(LabelStore.of(store), [question_on(i) for i in range(3)], account="run 1a")
    process, _, send = start("run 1a")
    assert say(send, send("/question", {})["cards"][0])["recorded"]
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    assert "1 of 3 labels are given and kept; the same command goes on from here." in output
    assert process.returncode == 0
    assert "Traceback" not in output


@pytest.mark.slow
def test_after_the_last_label_the_page_stays_for_the_next_round(start, store):
    kept = LabelStore.of(store)
    leave(kept, [question_on(1)])
    process, _, send = start()
    assert "All done" in say(send, send("/question", {})["cards"][0])["done"]
    while "All labels are given" not in process.stdout.readline():
        assert process.poll() is None
    leave(kept, [question_on(2)])
    assert len(send("/question", {})["cards"]) == 1


@pytest.mark.slow
def test_a_run_leaves_questions_and_goes_on_with_the_labels(
    start, given_candidates, config_file, store, prefopt
):
    config = config_file(given_candidates | {"annotation": {"annotator": "people"}})
    status, output, _ = prefopt("run", config, "--no-server")
    assert (status, "awaiting 4 labels" in output) == (AWAITING, True)
    _, _, send = start()
    for _ in range(4):
        assert say(send, send("/question", {})["cards"][0])["recorded"]
    status, output, errors = prefopt("run", config, "--no-server")
    assert (status, errors) == (0, "")
    assert "export FOLDER --run" in output
    assert LabelStore.of(store).counts() == [('{"people":{}}', "1", 4)]


@pytest.mark.slow
def test_seen_from_elsewhere_it_asks_for_a_token(start, store):
    leave(LabelStore.of(store), [question_on(1)])
    _, address, send = start("--host", "0.0.0.0")
    token = address.partition("/?token=")[2]
    assert len(token) >= 20
    with pytest.raises(urllib.error.HTTPError, match="403"):
        send("/question", {})
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert "Who labels here?" in answer.read().decode()


@pytest.mark.slow
def test_a_file_is_asked_about_and_its_pairs_are_written(start, candidates, tmp_path, store):
    output = tmp_path / "pairs.jsonl"
    process, _, send = start(candidates, "--output", output)
    while cards := send("/question", {})["cards"]:
        text = {}
        first_is_off = "Turn" in cards[0]["html"].partition('aria-label="Response 2"')[0]
        text = say(send, cards[0], (1, 2) if first_is_off else (2, 1))
        if text["done"]:
            break
    said = process.communicate(timeout=60)[0]
    assert f"3 labels make 3 pairs: {output}" in said
    assert process.returncode == 0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert {(row["prompt"], row["chosen"], row["rejected"]) for row in rows} == {
        (f"How do I mend {i}?", f"Turn {i} off.", f"Read about {i}.") for i in range(3)
    }
    assert open_batches(LabelStore.of(store)) == []


@pytest.mark.slow
def test_a_file_that_is_labelled_is_written_without_a_page(
    start, candidates, tmp_path, store, prefopt
):
    process, _, send = start(candidates, "--output", tmp_path / "once.csv")
    for _ in range(3):
        say(send, send("/question", {})["cards"][0])
    process.communicate(timeout=60)
    again = tmp_path / "again.csv"
    status, output, _ = prefopt("annotate", candidates, "--output", again)
    assert (status, "3 labels make 3 pairs" in output) == (0, True)
    assert again.read_text() == (tmp_path / "once.csv").read_text()


def test_a_file_that_would_be_replaced_is_refused(prefopt, candidates, store):
    status, _, errors = prefopt("annotate", candidates, "--output", candidates)
    assert (status, "would replace what is read" in errors) == (2, True)


@pytest.mark.slow
def test_what_to_do_with_empty_responses_of_a_file_is_said_as_it_is_typed(
    command, start, candidates
):
    with candidates.open("a") as file:
        file.write('{"prompt": "How do I mend 0?", "response": ""}\n')
    process = command("annotate", candidates)
    assert "set `--empty` to 'drop'" in process.communicate(timeout=60)[0]
    _, _, send = start(candidates, "--empty", "drop")
    assert send("/question", {"held": []})["progress"]["wanted"] == 3
